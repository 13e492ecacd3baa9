import CZlib
public import TesseraCore

/// A checkpoint file under construction, in any format that is written here; it appears under its
/// name by ``commit(metadata:)``.
///
/// Tensors may be written in any order and in any pieces; memory is the caller's buffer. Data that
/// arrive in the order of their bytes are summed up on the way, others are read once more.
public struct CheckpointFile: ~Copyable {
  /// The tensors in the order of their bytes, and where these go.
  package let entries: [CheckpointEntry]
  private let layout: any CheckpointLayout
  private var file: AtomicFile
  private var checksums: [RunningChecksum]
  private var blocks: [UInt8] = []

  /// Creates the file at its full size.
  ///
  /// - Parameters:
  ///   - path: The final path.
  ///   - layout: What it will hold.
  ///   - inputs: Files that are being read; none of them may be the output.
  ///   - claim: As for `AtomicFile`.
  /// - Throws: `TesseraError`.
  package init(
    path: String,
    layout: any CheckpointLayout,
    reading inputs: [String] = [],
    claiming claim: String? = nil
  ) throws {
    var file = try AtomicFile(path: path, reading: inputs, claiming: claim)
    entries = try layout.begin(&file)
    self.file = file
    self.layout = layout
    checksums = Array(
      repeating: RunningChecksum(),
      count: layout.needsChecksums ? entries.count : 0
    )
  }

  /// Writes elements of one tensor.
  ///
  /// - Parameters:
  ///   - bytes: Little-endian elements, row-major; whole blocks where the file stores blocks.
  ///   - offset: Where they belong, in bytes from the tensor's start.
  ///   - index: The place of the tensor in `entries`.
  /// - Throws: `TesseraError`, also for a value that a block cannot hold.
  public mutating func write(
    _ bytes: UnsafeRawBufferPointer,
    at offset: Int,
    of index: Int
  ) throws {
    let entry = entries[index]
    switch entry.encoding {
    case .plain: try unsafe store(bytes, at: offset, of: index)
    case .q8_0:
      let width = QuantizedBlock.count * 4
      precondition(offset % width == 0 && bytes.count % width == 0, "whole blocks arrive")
      blocks.removeAll(keepingCapacity: true)
      guard unsafe QuantizedBlock.append(bytes, to: &blocks) else {
        let cause = "holds values that are not finite; Q8_0 has none: leave the tensor wider"
        throw TesseraError.mismatch(cause + " (gguf)", place: entry.tensor.name)
      }
      let encoded = blocks
      try unsafe encoded.withUnsafeBytes { bytes in
        try unsafe store(bytes, at: offset / width * QuantizedBlock.size, of: index)
      }
    }
  }

  /// Copies bytes of one tensor from an open file, inside of the kernel.
  ///
  /// - Parameters:
  ///   - count: How many bytes.
  ///   - source: The open file.
  ///   - sourceOffset: The first byte there.
  ///   - offset: Where they belong, in bytes from the tensor's start.
  ///   - index: The place of the tensor in `entries`.
  /// - Returns: How many bytes from the start on were copied; the others must be written. None where
  ///   the file needs checksums or stores blocks.
  /// - Throws: `TesseraError`.
  package mutating func copy(
    _ count: Int,
    from source: Int32,
    at sourceOffset: Int,
    to offset: Int,
    of index: Int
  ) throws -> Int {
    let entry = entries[index]
    guard entry.encoding == .plain, checksums.isEmpty else { return 0 }
    let start = entry.bytes.lowerBound + offset
    precondition(offset >= 0 && start + count <= entry.bytes.upperBound, "inside its tensor")
    return try file.copy(count, from: source, at: sourceOffset, to: start)
  }

  private mutating func store(
    _ bytes: UnsafeRawBufferPointer,
    at offset: Int,
    of index: Int
  ) throws(TesseraError) {
    let range = entries[index].bytes
    let start = range.lowerBound + offset
    precondition(offset >= 0 && start + bytes.count <= range.upperBound, "inside its tensor")
    try unsafe file.write(bytes, at: start)
    if !checksums.isEmpty { unsafe checksums[index].add(bytes, at: offset) }
  }

  /// Reads a tensor that has been written, as a reader of the file gives its elements.
  ///
  /// - Parameters:
  ///   - index: The place of the tensor in `entries`.
  ///   - body: Is given the bytes piece by piece, in order.
  /// - Throws: `TesseraError`.
  package func read(
    _ index: Int,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(TesseraError) {
    let entry = entries[index]
    // A whole number of blocks, and of any type's elements.
    let size = entry.encoding == .q8_0 ? QuantizedBlock.size << 15 : 1 << 20
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
    defer { unsafe buffer.deallocate() }
    for offset in stride(from: entry.bytes.lowerBound, to: entry.bytes.upperBound, by: size) {
      let count = min(size, entry.bytes.upperBound - offset)
      let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      try unsafe file.read(at: offset, into: piece)
      switch entry.encoding {
      case .plain: unsafe body(UnsafeRawBufferPointer(piece))
      case .q8_0:
        let floats = unsafe GGUFValues.floats(ofQ8: [UInt8](piece))
        unsafe floats.withUnsafeBytes { unsafe body($0) }
      }
    }
  }

  /// Completes the file, makes it durable and gives it its name.
  ///
  /// - Parameter metadata: The strings to store; as long as those the layout was made with.
  /// - Throws: `TesseraError`.
  public consuming func commit(metadata: [String: String]) throws {
    try finished(metadata: metadata).commit()
  }

  /// Completes the file and hands it to a set that appears together.
  package consuming func finished(metadata: [String: String]) throws -> AtomicFile {
    var sums: [UInt32] = []
    for (entry, running) in zip(entries, checksums) {
      if let value = running.value(ofByteCount: entry.bytes.count) {
        sums.append(value)
      } else {
        sums.append(try file.checksum(of: entry.bytes))
      }
    }
    try layout.finish(&file, with: CheckpointEnding(metadata: metadata, checksums: sums))
    return file
  }
}

extension CheckpointFile {
  /// Writes whole tensors that are in memory.
  ///
  /// - Parameters:
  ///   - tensors: Names and tensors, each name once.
  ///   - path: The file.
  ///   - format: Its format; nil goes by the path's ending.
  ///   - metadata: Strings about the file.
  ///   - inputs: Files that are being read; none of them may be the output.
  /// - Throws: `TesseraError` where the format does not hold such tensors.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)],
    to path: String,
    format: CheckpointFormat? = nil,
    metadata: [String: String] = [:],
    reading inputs: [String] = []
  ) throws {
    guard let format = format ?? CheckpointFormat(path: path) else {
      let endings = CheckpointFormat.endings.joined(separator: ", ")
      let cause = "'\(path)' has no ending that names a format (\(endings))"
      throw TesseraError.mismatch(cause, place: "checkpoint")
    }
    let infos = tensors.map { name, tensor in
      TensorInfo(name: name, elementType: tensor.elementType, shape: tensor.shape)
    }
    let layout = try format.layout(of: infos, metadata: metadata)
    var file = try CheckpointFile(path: path, layout: layout, reading: inputs)
    let named = Dictionary(tensors.map { ($0.name, $0.tensor) }) { first, _ in first }
    for index in file.entries.indices {
      guard let tensor = named[file.entries[index].tensor.name] else { continue }
      try unsafe tensor.bytes.withUnsafeBytes { bytes in
        try unsafe file.write(bytes, at: 0, of: index)
      }
    }
    try file.commit(metadata: metadata)
  }
}

/// A CRC-32 that grows with data in order; data out of order leave it unknown.
private struct RunningChecksum {
  private var sum: UInt32 = 0
  /// The bytes summed so far; nil after a gap.
  private var count: Int? = 0

  mutating func add(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    guard count == offset else {
      count = nil
      return
    }
    sum = unsafe Checksum.crc32(bytes, after: sum)
    count = offset + bytes.count
  }

  func value(ofByteCount total: Int) -> UInt32? { count == total ? sum : nil }
}

/// The CRC-32 of zip files.
enum Checksum {
  static func crc32(_ bytes: UnsafeRawBufferPointer, after sum: UInt32 = 0) -> UInt32 {
    // zlib takes a null pointer for a request to start anew.
    if unsafe bytes.isEmpty { return sum }
    let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    return UInt32(truncatingIfNeeded: unsafe crc32_z(UInt(sum), start, bytes.count))
  }

  /// The CRC-32 of two runs of bytes from those of each.
  static func combine(_ first: UInt32, _ second: UInt32, secondLength: Int) -> UInt32 {
    UInt32(truncatingIfNeeded: crc32_combine(UInt(first), UInt(second), secondLength))
  }

  static func crc32(_ bytes: [UInt8], after sum: UInt32 = 0) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe crc32($0, after: sum) }
  }
}

extension AtomicFile {
  /// The CRC-32 of a range that has been written.
  fileprivate func checksum(of range: Range<Int>) throws(TesseraError) -> UInt32 {
    var sum: UInt32 = 0
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { unsafe buffer.deallocate() }
    for offset in stride(from: range.lowerBound, to: range.upperBound, by: buffer.count) {
      let count = min(buffer.count, range.upperBound - offset)
      let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      try unsafe read(at: offset, into: piece)
      sum = unsafe Checksum.crc32(UnsafeRawBufferPointer(piece), after: sum)
    }
    return sum
  }
}
