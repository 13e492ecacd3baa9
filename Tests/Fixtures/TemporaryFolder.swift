import Foundation

/// A folder that lives as long as one test.
public final class TemporaryFolder: Sendable {
  /// Its path.
  public let path = NSTemporaryDirectory() + "tessera-" + UUID().uuidString

  /// Creates an empty folder.
  public init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  /// The names in it, sorted.
  public var names: [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? []
  }

  /// The content of a file in it, or nil.
  public func bytes(of name: String) -> [UInt8]? {
    FileManager.default.contents(atPath: "\(path)/\(name)").map(Array.init)
  }

  /// Writes a file into it and returns its path.
  public func write(_ bytes: [UInt8], to name: String) throws -> String {
    try Data(bytes).write(to: URL(filePath: "\(path)/\(name)"))
    return "\(path)/\(name)"
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
