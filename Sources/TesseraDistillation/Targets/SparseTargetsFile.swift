import TesseraCheckpoints
package import TesseraCore

/// Distributions over classes, few of them above 0, as compressed rows in a safetensors file:
/// `indptr` int64 [rows + 1], `indices` uint32, `values` float32, and for each row `support` uint32,
/// `mass` float32 and `kl` float32.
///
/// How many entries there are is known only after the last row, so everything first goes to files
/// beside the output that have no name of their own; memory does not grow with the rows.
package struct SparseTargetsFile: ~Copyable {
  private let path: String
  private let inputs: [String]
  private var starts: SpilledBytes
  private var indices: SpilledBytes
  private var values: SpilledBytes
  private var supports: SpilledBytes
  private var masses: SpilledBytes
  private var divergences: SpilledBytes
  /// The rows so far.
  package private(set) var rows = 0
  /// The entries so far.
  package private(set) var entries = 0

  /// Prepares a file.
  ///
  /// - Parameters:
  ///   - path: The final path.
  ///   - inputs: Files that are being read; none of them may be the output.
  /// - Throws: `TesseraError`.
  package init(path: String, reading inputs: [String]) throws {
    // All that may throw comes before the first assignment: a half-made value cannot be destroyed.
    try AtomicFile.checkTarget(path, inputs: inputs)
    var starts = try SpilledBytes("starts", besides: path)
    try starts.append([Int64(0)])
    let indices = try SpilledBytes("indices", besides: path)
    let values = try SpilledBytes("values", besides: path)
    let supports = try SpilledBytes("supports", besides: path)
    let masses = try SpilledBytes("masses", besides: path)
    let divergences = try SpilledBytes("divergences", besides: path)
    self.path = path
    self.inputs = inputs
    self.starts = starts
    self.indices = indices
    self.values = values
    self.supports = supports
    self.masses = masses
    self.divergences = divergences
  }

  /// Adds a row.
  ///
  /// - Parameters:
  ///   - indices: Its classes, ascending.
  ///   - values: Their probabilities.
  ///   - mass: What softmax gives to these classes.
  ///   - divergence: The Kullback-Leibler divergence of the row from softmax.
  /// - Throws: `TesseraError` where the disk is full.
  package mutating func append(
    indices: [UInt32],
    values: [Float],
    mass: Float,
    divergence: Float
  ) throws(TesseraError) {
    precondition(indices.count == values.count, "an index a value")
    rows += 1
    entries += indices.count
    try self.indices.append(indices)
    try self.values.append(values)
    try starts.append([Int64(entries)])
    try supports.append([UInt32(indices.count)])
    try masses.append([mass])
    try divergences.append([divergence])
  }

  /// Puts the file together and gives it its name.
  ///
  /// - Parameter metadata: The strings of the header.
  /// - Throws: `TesseraError`.
  package consuming func commit(metadata: [String: String]) throws {
    func tensor(_ name: String, _ type: ElementType, _ count: Int) -> TensorInfo {
      TensorInfo(name: name, elementType: type, shape: [count])
    }
    let layout = try SafetensorsLayout(
      tensors: [
        tensor("indptr", .int64, rows + 1), tensor("indices", .uint32, entries),
        tensor("values", .float32, entries), tensor("support", .uint32, rows),
        tensor("mass", .float32, rows), tensor("kl", .float32, rows),
      ],
      metadata: metadata
    )
    let file = try SafetensorsFile(path: path, layout: layout, reading: inputs)
    for entry in layout.entries {
      switch entry.tensor.name {
      case "indptr": try starts.copy(to: file, entry)
      case "indices": try indices.copy(to: file, entry)
      case "values": try values.copy(to: file, entry)
      case "support": try supports.copy(to: file, entry)
      case "mass": try masses.copy(to: file, entry)
      default: try divergences.copy(to: file, entry)
      }
    }
    try file.commit()
  }
}

/// Bytes that wait in a file until it is known where they go.
private struct SpilledBytes: ~Copyable {
  /// Never committed: it vanishes with this value.
  private var file: AtomicFile
  private var buffer: [UInt8] = []
  private static let bufferSize = 1 << 20

  /// - Parameters:
  ///   - name: Tells the bytes from others of the same output.
  ///   - path: The output.
  /// - Throws: `TesseraError`.
  init(_ name: String, besides path: String) throws {
    file = try AtomicFile(path: path, claiming: "\(AtomicFile.name(of: path)).\(name)")
  }

  mutating func append<Element: TensorElement>(_ elements: [Element]) throws(TesseraError) {
    // Every platform that Swift runs on here is little-endian.
    unsafe elements.withUnsafeBytes { unsafe buffer.append(contentsOf: $0) }
    if buffer.count >= SpilledBytes.bufferSize { try flush() }
  }

  private mutating func flush() throws(TesseraError) {
    try file.write(buffer)
    buffer.removeAll(keepingCapacity: true)
  }

  mutating func copy(
    to target: borrowing SafetensorsFile,
    _ entry: SafetensorsLayout.Entry
  ) throws(TesseraError) {
    try flush()
    let piece = UnsafeMutableRawBufferPointer.allocate(
      byteCount: SpilledBytes.bufferSize,
      alignment: 16
    )
    defer { unsafe piece.deallocate() }
    for offset in stride(from: 0, to: file.position, by: piece.count) {
      let count = min(piece.count, file.position - offset)
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: piece[..<count])
      try unsafe file.read(at: offset, into: part)
      try unsafe target.write(UnsafeRawBufferPointer(part), at: offset, of: entry)
    }
  }
}
