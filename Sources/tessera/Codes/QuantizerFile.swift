import Foundation
import Readers
import Tensors
import Tokenization

/// A quantizer's JSON file and the arrays that it names.
enum QuantizerFile {
  /// Reads a quantizer.
  ///
  /// - Parameter path: The JSON file. Arrays that it names lie beside it, or where an absolute path says;
  ///   `NAME` may stand for `NAME.npy`.
  /// - Returns: What the file says, and the quantizer.
  /// - Throws: `FileError`, `NPYError` or `QuantizerError`, naming the file.
  static func open(
    _ path: String
  ) throws -> (specification: QuantizerSpecification, quantizer: Quantizer) {
    let json = try FileDigest.bytes(of: path, maximumBytes: 1 << 20)
    return try FileProblem.naming(path) {
      let specification = try QuantizerSpecification(parsing: json)
      let folder = URL(filePath: path).deletingLastPathComponent()
      let quantizer = try Quantizer(specification) { try array($0, folder: folder) }
      return (specification, quantizer)
    }
  }

  private static func array(
    _ name: String,
    folder: URL
  ) throws -> (shape: Shape, values: [Float])? {
    let path = name.hasPrefix("/") ? name : folder.appending(path: name).path
    let file = path.hasSuffix(".npy") ? path : path + ".npy"
    guard FileManager.default.fileExists(atPath: file) else {
      throw FileError(operation: "read the quantizer's array", path: file, code: ENOENT)
    }
    let array = try ArrayFile(path: file)
    guard let count = array.header.shape.elementCount else { return nil }
    let values = try FileProblem.naming(file) { try array.read(0..<count).floats() }
    return (array.header.shape, values)
  }
}
