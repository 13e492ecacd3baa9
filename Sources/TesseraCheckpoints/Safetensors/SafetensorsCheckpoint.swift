import TesseraCore

/// A checkpoint in the safetensors format: one file, or shards with their index.
///
/// Opening reads the headers alone and checks them entirely; memory is theirs and the caller's
/// buffer.
public struct SafetensorsCheckpoint: CheckpointReader {
  /// Always `safetensors`.
  public let format = "safetensors"
  /// Every tensor; shard by shard, each in its header's order.
  public let tensors: [TensorInfo]
  /// The strings of `__metadata__` and of the index's `metadata`.
  public let attributes: [String: String]
  /// What was noticed, a sentence each.
  public let notes: [String]
  /// The files that hold the data, in the order in which they were read.
  public let files: [String]

  /// The strings of `__metadata__`; sizes that an index states are no part of them.
  public var metadata: CheckpointMetadata {
    var strings = attributes
    strings["total_size"] = nil
    return CheckpointMetadata(strings: strings)
  }

  private struct Location: Sendable {
    let shard: Int
    let bytes: Range<Int>
  }

  private let shards: [SafetensorsShard]
  private let locations: [String: Location]

  /// Opens a file, or the index of a checkpoint in several files (`….safetensors.index.json`).
  ///
  /// - Parameter path: The file or the index.
  /// - Throws: `TesseraError`, which name what is wrong.
  public init(path: String) throws {
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
    var tensors: [TensorInfo] = []
    var locations: [String: Location] = [:]
    var attributes: [String: String] = [:]
    for (position, shard) in shards.enumerated() {
      for entry in shard.header.entries {
        tensors.append(entry.tensor)
        let start = shard.dataStart
        let bytes = start + entry.bytes.lowerBound..<start + entry.bytes.upperBound
        locations[entry.tensor.name] = Location(shard: position, bytes: bytes)
      }
      attributes.merge(shard.header.metadata) { first, _ in first }
    }
    self.shards = shards
    self.tensors = tensors
    self.locations = locations
    self.attributes = attributes.merging(index?.metadata ?? [:]) { file, _ in file }
    files = shards.map(\.path)
    notes = SafetensorsCheckpoint.notes(about: shards, index: index)
  }

  /// Reads a range of one tensor's elements as they lie in the file.
  ///
  /// - Parameters:
  ///   - elements: The range, in row-major order; whole bytes for sub-byte types.
  ///   - tensor: One of `tensors`.
  ///   - buffer: Exactly as many bytes as the range takes.
  /// - Throws: `TesseraError` where the file cannot be read or became shorter.
  public func read(
    _ elements: Range<Int>,
    of tensor: TensorInfo,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard let location = locations[tensor.name] else {
      preconditionFailure("'\(tensor.name)' is no tensor of this checkpoint")
    }
    let width = tensor.elementType.bitWidth
    precondition(elements.lowerBound * width % 8 == 0, "a range starts at a whole byte")
    let start = location.bytes.lowerBound + elements.lowerBound * width / 8
    precondition(start + buffer.count <= location.bytes.upperBound, "a range lies in its tensor")
    try unsafe shards[location.shard].region.read(at: start, into: buffer)
  }
}

extension SafetensorsCheckpoint: FileRunProviding {
  /// Where a tensor lies: always as it is read.
  package func fileRun(of tensor: TensorInfo) -> FileRun? {
    guard let location = locations[tensor.name] else { return nil }
    let region = shards[location.shard].region
    return FileRun(
      descriptor: region.descriptor,
      offset: region.start + location.bytes.lowerBound,
      count: location.bytes.count
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
