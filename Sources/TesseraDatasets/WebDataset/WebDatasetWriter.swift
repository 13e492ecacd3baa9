import Crypto
import TesseraCore

/// Tar shards of `.npy`, `.json` and `.txt` members, with the index of `wids` and those of Energon.
///
///     shards/00000.tar, shards/00000.tar.idx, …
///     wids.json                  wids: ShardListDataset("wids.json")
///     .nv-meta/                  megatron-energon: get_train_dataset("folder")
struct WebDatasetWriter: StoredWriter {
  let output: DatasetOutput
  private let metadata: MetadataJSON
  /// The columns that are members of their own, sorted by extension, the JSON among them as nil.
  private var members: [Member]
  private let longestMember: Int
  private var shard: Shard?
  private var index = WebDatasetIndex()

  /// One member of every sample.
  private struct Member {
    let name: String
    let column: StoredTable.Column?
    var head = NPYHead()
  }

  /// A shard being written.
  private struct Shard {
    let file: StagedFile
    var offsets: [Int] = []
    var tokens = 0
  }

  init(_ output: DatasetOutput) throws {
    self.output = output
    let stored = output.stored
    var renamed = stored.table
    for column in stored.columns { renamed.columns[column.index].name = column.name }
    metadata = MetadataJSON(renamed)
    var members = [Member(name: "json", column: nil)]
    for column in stored.columns where !column.column.isMetadata {
      let name = WebDatasetRows.member(of: renamed.columns[column.index])
      members.append(Member(name: name, column: column))
    }
    self.members = members.sorted { $0.name < $1.name }
    longestMember = members.map(\.name.utf8.count).max() ?? 0
  }

  mutating func append(_ row: DatasetRow) throws {
    let name = "shards/\(shardDigits(index.shards.count)).tar"
    var shard = try self.shard ?? Shard(file: stage.create(name, digests: [.md5]))
    guard row.key.utf8.count + 1 + longestMember <= TarHeader.longestName else {
      throw TesseraError.mismatch(
        "with its extension the key is longer than the 100 bytes of a tar name",
        place: "\(DatasetFormat.webdataset.rawValue): \(row.key)"
      )
    }
    shard.offsets.append(shard.file.position)
    for index in members.indices {
      var head: [UInt8] = []
      var data: [UInt8] = []
      if let column = members[index].column {
        let cell = row.cells[column.index]
        head = try members[index].head.bytes(of: cell, column, stored)
        data = cell.bytes
      } else {
        metadata.append(row, to: &data)
      }
      let name = "\(row.key).\(members[index].name)"
      try shard.file.write(TarHeader(name: name, size: head.count + data.count).bytes)
      try shard.file.write(head)
      try shard.file.write(data)
      try shard.file.pad(to: TarHeader.blockSize)
    }
    shard.tokens += stored.tokens(of: row)
    self.shard = shard
    if shard.offsets.count == options.shardSamples { try closeShard() }
  }

  private mutating func closeShard() throws {
    guard let shard else { return }
    self.shard = nil
    let end = shard.file.position
    try shard.file.write([UInt8](repeating: 0, count: 2 * TarHeader.blockSize))
    let finished = try shard.file.finish()
    stage.add(finished, samples: shard.offsets.count, tokens: shard.tokens)
    index.shards.append(
      WebDatasetIndex.Shard(
        name: finished.name,
        bytes: finished.bytes,
        md5: finished.md5 ?? "",
        samples: shard.offsets.count
      )
    )
    try stage.write(
      WebDatasetIndex.offsets(of: shard.offsets, end: end),
      to: WebDatasetIndex.offsetsName(of: finished.name)
    )
  }

  mutating func finish() throws {
    try closeShard()
    for (name, bytes) in try index.documents() { try stage.write(bytes, to: name) }
  }
}
