import Crypto
import Foundation
import TesseraCore

/// One WebDataset shard being written: a plain ustar archive that appears whole or not at all.
///
/// The members of a sample stand together, in the same order in every sample, so `webdataset`,
/// `wids`, Hugging Face `datasets` and Energon read it unmodified. Its bytes depend on the samples
/// alone.
package struct WebDatasetShard: ~Copyable {
  /// The longest key: with the longest extension it still fits the 100 bytes of a tar name.
  package static let longestKey = TarHeader.longestName - ".soft_indices.npy".utf8.count

  private let name: String
  private var file: AtomicFile
  private var hash = SHA256()
  private var md5 = Insecure.MD5()
  private var offsets: [Int] = []
  private var tokens = 0

  /// Starts a shard.
  ///
  /// - Parameters:
  ///   - name: Its path inside the dataset, such as `shards/00000.tar`.
  ///   - folder: The dataset's folder.
  /// - Throws: `TesseraError` where the file cannot be created.
  package init(name: String, in folder: String) throws {
    self.name = name
    // Another worker may run the same shard, with the same bytes.
    file = try AtomicFile(inDataset: "\(folder)/\(name)", isShared: true)
  }

  /// Appends one sample.
  package mutating func append(_ sample: TokenSample) throws {
    let key = sample.description.key
    var block: [UInt8] = []
    func add(_ column: String, _ data: [UInt8]) {
      block += TarHeader(name: "\(key).\(column)", size: data.count).bytes
      block += data
      block += [UInt8](repeating: 0, count: TarHeader.paddedSize(data.count) - data.count)
    }
    add("codes.npy", try NPYFile.encode(sample.codes))
    add("json", try CanonicalJSON.line(sample.description))
    if let latents = sample.latents { add("latents.npy", try NPYFile.encode(latents)) }
    if let positions = sample.positions { add("positions.npy", try NPYFile.encode(positions)) }
    for (column, tensor) in sample.softMembers { add(column, try NPYFile.encode(tensor)) }
    if let caption = sample.caption { add("txt", Array(caption.utf8)) }
    offsets.append(file.position)
    try write(block)
    tokens += sample.codes.shape.elementCount ?? 0
  }

  /// Ends the archive, makes it durable and gives it its name.
  ///
  /// - Returns: What the manifest and the indices say of it.
  package consuming func commit() throws -> Finished {
    let end = file.position
    // Two blocks of zeros end an archive.
    try write([UInt8](repeating: 0, count: 2 * TarHeader.blockSize))
    let shard = DatasetShard(
      name: name,
      samples: offsets.count,
      tokens: tokens,
      bytes: file.position,
      sha256: hash.finalize().hexadecimal
    )
    let finished = Finished(
      shard: shard,
      md5: md5.finalize().hexadecimal,
      offsets: WebDatasetIndex.offsets(of: offsets, end: end)
    )
    try file.commit()
    return finished
  }

  /// A shard that is whole.
  package struct Finished: Sendable {
    /// What the manifest says of it.
    package let shard: DatasetShard
    /// Its MD5, 32 hexadecimal digits.
    package let md5: String
    /// What stands in the file of offsets beside it.
    package let offsets: [UInt8]
  }

  private mutating func write(_ bytes: [UInt8]) throws {
    hash.update(data: bytes)
    md5.update(data: bytes)
    try file.write(bytes)
  }
}
