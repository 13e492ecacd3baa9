/// Where the bytes of a tensor lie in a file exactly as a reader would give them.
package struct FileRun: Sendable {
  /// An open file; the reader's, and open as long as that lives.
  package let descriptor: Int32
  /// The first byte.
  package let offset: Int
  /// The number of bytes.
  package let count: Int
}

/// A checkpoint whose tensors may be copied from file to file without passing through the program.
package protocol FileRunProviding: CheckpointReader {
  /// Where a tensor lies; nil where its bytes are not stored as they are read.
  func fileRun(of tensor: TensorInfo) -> FileRun?
}
