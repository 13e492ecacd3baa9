import TesseraCore

/// The indices over all shards of a WebDataset folder: those of wids and of Energon.
package struct WebDatasetIndex {
  /// What they say of a shard.
  package struct Shard: Sendable {
    /// The path in the dataset's folder.
    let name: String
    let bytes: Int
    let md5: String
    let samples: Int

    /// Describes a shard.
    package init(name: String, bytes: Int, md5: String, samples: Int) {
      (self.name, self.bytes, self.md5, self.samples) = (name, bytes, md5, samples)
    }
  }

  /// The shards that hold samples, in order.
  var shards: [Shard]

  /// Starts an index; shards without samples, which readers stumble over, are left out.
  package init(_ shards: [Shard] = []) { self.shards = shards.filter { $0.samples > 0 } }

  /// Whether no shard has a sample.
  package var isEmpty: Bool { shards.isEmpty }

  /// The version of megatron-energon whose layout of `.nv-meta` this is.
  private static let energonVersion = "7.4.1"

  /// The folder of Energon's files.
  package static let energonFolder = ".nv-meta"

  /// The name of the file of offsets beside a shard.
  package static func offsetsName(of shard: String) -> String { "\(shard).idx" }

  /// Energon's offsets of a shard: where each sample starts, then where the archive's end starts.
  package static func offsets(of samples: [Int], end: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for offset in samples + [end] { bytes.appendLittleEndian(UInt64(offset)) }
    return bytes
  }

  /// The files of the indices, by their paths in the dataset's folder.
  ///
  /// - Throws: Never, for strings and numbers have a JSON form.
  package func documents() throws -> [(name: String, bytes: [UInt8])] {
    let list = shards.map { shard in
      WidsShard(
        url: shard.name,
        nsamples: shard.samples,
        filesize: shard.bytes,
        md5sum: shard.md5
      )
    }
    let counts = Dictionary(shards.map { ($0.name, $0.samples) }) { first, _ in first }
    let info = EnergonInfo(version: Self.energonVersion, counts: counts)
    var split = "split_parts:\n  train:\n"
    for shard in shards { split += "  - \(shard.name)\n" }
    split += "  val: []\n  test: []\nexclude: []\n"
    let kind = "__module__: megatron.energon\n__class__: CrudeWebdataset\n"
    let folder = Self.energonFolder
    return [
      ("wids.json", try CanonicalJSON.document(WidsIndex(shardlist: list))),
      ("\(folder)/.info.json", try CanonicalJSON.document(info)),
      ("\(folder)/split.yaml", Array(split.utf8)), ("\(folder)/dataset.yaml", Array(kind.utf8)),
    ]
  }

  private struct WidsIndex: Encodable {
    let kind = "wids-shard-index-v1"
    let version = 1
    let name = "train"
    let shardlist: [WidsShard]

    enum CodingKeys: String, CodingKey {
      case kind = "__kind__"
      case version = "wids_version"
      case name, shardlist
    }
  }

  private struct WidsShard: Encodable {
    let url: String
    let nsamples: Int
    let filesize: Int
    let md5sum: String
  }

  private struct EnergonInfo: Encodable {
    let version: String
    let counts: [String: Int]

    enum CodingKeys: String, CodingKey {
      case version = "energon_version"
      case counts = "shard_counts"
    }
  }
}
