package import TesseraCore

/// A safetensors file under construction; it appears under its name by ``commit()``.
///
/// Tensors may be written in any order and in any pieces; memory is the caller's buffer.
package struct SafetensorsFile: ~Copyable {
  /// Where each tensor lies.
  package let layout: SafetensorsLayout
  private let file: AtomicFile

  /// Creates the file at its full size, with its header.
  ///
  /// - Parameters:
  ///   - path: The final path.
  ///   - layout: What it will hold.
  ///   - inputs: Files that are being read; none of them may be the output.
  /// - Throws: `TesseraError`.
  package init(path: String, layout: SafetensorsLayout, reading inputs: [String] = []) throws {
    var file = try AtomicFile(path: path, reading: inputs)
    try file.reserve(byteCount: layout.fileSize)
    try file.write(layout.header)
    self.file = file
    self.layout = layout
  }

  /// Writes bytes of one tensor.
  ///
  /// - Parameters:
  ///   - bytes: Little-endian elements, row-major.
  ///   - offset: Where they belong, in bytes from the tensor's start.
  ///   - entry: One of the layout's entries.
  /// - Throws: `TesseraError`.
  package func write(
    _ bytes: UnsafeRawBufferPointer,
    at offset: Int,
    of entry: SafetensorsLayout.Entry
  ) throws(TesseraError) {
    let start = entry.bytes.lowerBound + offset
    precondition(offset >= 0 && start + bytes.count <= entry.bytes.upperBound, "inside its tensor")
    try unsafe file.write(bytes, at: start)
  }

  /// Makes the file durable and gives it its name.
  package consuming func commit() throws(TesseraError) { try file.commit() }

  /// Hands the finished file to a set that appears together.
  package consuming func finished() -> AtomicFile { file }
}
