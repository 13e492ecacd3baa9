import Foundation
import TesseraCore

/// A quantizer's JSON file and the arrays that it names.
enum QuantizerFile {
  /// Reads a quantizer.
  ///
  /// - Parameter path: The JSON file. Arrays that it names lie in its folder; `NAME` may stand for `NAME.npy`.
  /// - Returns: What the file says, and the quantizer.
  /// - Throws: `TesseraError`, naming the file.
  static func open(
    _ path: String
  ) throws -> (specification: QuantizerSpecification, quantizer: Quantizer) {
    let json = try TextFile.bytes(of: path, maximumBytes: ReadLimit.description)
    return try TesseraError.naming(path) {
      let specification = try QuantizerSpecification(parsing: json)
      let folder = (path as NSString).deletingLastPathComponent
      let quantizer = try Quantizer(specification) { try array($0, folder: folder) }
      return (specification, quantizer)
    }
  }

  private static func array(
    _ name: String,
    folder: String
  ) throws -> (shape: Shape, values: [Float])? {
    // The whole path of what lies in the folder is as good as its name.
    let local = name.hasPrefix(folder + "/") ? String(name.dropFirst(folder.count + 1)) : name
    let file = try SafePath.path(of: local.hasSuffix(".npy") ? local : local + ".npy", in: folder) {
      TesseraError.mismatch("the array '\(name)' \($0); put it into the folder of the JSON file")
    }
    guard FileManager.default.fileExists(atPath: file) else {
      throw TesseraError.system("read the quantizer's array", file, ENOENT)
    }
    let array = try ArrayFile(path: file)
    guard let count = array.header.shape.elementCount else { return nil }
    let values = try TesseraError.naming(file) { try array.read(0..<count).floats() }
    return (array.header.shape, values)
  }
}
