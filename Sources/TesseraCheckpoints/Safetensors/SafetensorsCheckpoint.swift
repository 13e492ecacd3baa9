import TesseraCore

/// A checkpoint in the safetensors format: one file, or shards with their index.
///
/// Opening reads the headers alone and checks them entirely; memory is theirs and the caller's
/// buffer.
package struct SafetensorsCheckpoint: TableCheckpoint {
  /// Always `safetensors`.
  package let format = "safetensors"
  /// Every tensor, shard by shard, each in its header's order; the strings of `__metadata__` and of the
  /// index's `metadata`.
  let table: TensorTable<SafetensorsRun>

  /// The strings of `__metadata__`; sizes that an index states are no part of them.
  package var metadata: CheckpointMetadata {
    var strings = attributes
    strings["total_size"] = nil
    return CheckpointMetadata(strings: strings)
  }

  /// Opens a file, or the index of a checkpoint in several files (`….safetensors.index.json`).
  ///
  /// - Parameter path: The file or the index.
  /// - Throws: `TesseraError`, which name what is wrong.
  package init(path: String) throws {
    guard path.hasSuffix(SafetensorsIndex.suffix) else {
      self.init(shards: [try SafetensorsShard(path: path)], index: nil)
      return
    }
    let index = try SafetensorsIndex(path: path)
    let shards = try index.shards.map { name in
      try SafetensorsShard(path: index.path(ofShard: name))
    }
    try SafetensorsCheckpoint.check(shards, against: index)
    self.init(shards: shards, index: index)
  }

  private init(shards: [SafetensorsShard], index: SafetensorsIndex?) {
    var found = TensorTable<SafetensorsRun>(files: shards.map(\.path))
    for shard in shards {
      for entry in shard.header.entries {
        let start = shard.dataStart
        let bytes = start + entry.bytes.lowerBound..<start + entry.bytes.upperBound
        let width = entry.tensor.elementType.bitWidth
        let run = SafetensorsRun(region: shard.region, bytes: bytes, bitWidth: width)
        found.add(entry.tensor, at: run)
      }
      found.attributes.merge(shard.header.metadata) { first, _ in first }
    }
    found.attributes.merge(index?.metadata ?? [:]) { file, _ in file }
    found.remarks = SafetensorsCheckpoint.notes(about: shards, index: index)
    table = found
  }
}

/// The bytes of one tensor, as they are read.
struct SafetensorsRun: TensorPlace {
  fileprivate let region: FileRegion
  fileprivate let bytes: Range<Int>
  fileprivate let bitWidth: Int

  func read(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
    precondition(elements.lowerBound * bitWidth % 8 == 0, "a range starts at a whole byte")
    let start = bytes.lowerBound + elements.lowerBound * bitWidth / 8
    precondition(start + buffer.count <= bytes.upperBound, "a range lies in its tensor")
    try unsafe region.read(at: start, into: buffer)
  }
}

extension SafetensorsCheckpoint: FileRunProviding {
  /// Where a tensor lies: always as it is read.
  package func fileRun(of tensor: TensorInfo) -> FileRun? {
    guard let run = table.place(of: tensor.name) else { return nil }
    return FileRun(
      descriptor: run.region.descriptor,
      offset: run.region.start + run.bytes.lowerBound,
      count: run.bytes.count
    )
  }
}

extension SafetensorsCheckpoint {
  private static func check(_ shards: [SafetensorsShard], against index: SafetensorsIndex) throws {
    var found = 0
    for (name, shard) in zip(index.shards, shards) {
      for entry in shard.header.entries {
        let tensor = entry.tensor.name
        guard let expected = index.shardOfTensor[tensor] else {
          throw TesseraError.malformed(
            "is in '\(name)' but not in the weight_map",
            file: index.path,
            place: tensor
          )
        }
        guard expected == name else {
          throw TesseraError.malformed(
            "is in '\(name)', the weight_map says '\(expected)'",
            file: index.path,
            place: tensor
          )
        }
        found += 1
      }
    }
    guard found < index.shardOfTensor.count else { return }
    let present = Set(shards.flatMap { $0.header.entries.map(\.tensor.name) })
    for (tensor, shard) in index.shardOfTensor.sorted(by: { $0.key < $1.key })
    where !present.contains(tensor) {
      throw TesseraError.malformed(
        "the weight_map says '\(shard)', which does not hold it",
        file: index.path,
        place: tensor
      )
    }
  }

  private static func notes(
    about shards: [SafetensorsShard],
    index: SafetensorsIndex?
  ) -> [String] {
    guard let index else { return [] }
    var notes = ["\(shards.count) shards under the index '\(index.path)'"]
    let total = shards.reduce(0) { $0 + $1.region.length - $1.dataStart }
    if let stated = index.metadata["total_size"].flatMap(Double.init), stated != Double(total) {
      notes.append("the index states total_size \(stated), the shards hold \(total) bytes")
    }
    return notes
  }
}
