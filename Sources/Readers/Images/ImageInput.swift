import Foundation
public import Tensors

/// One image that somebody asked for: where its bytes are and what it will be called.
public struct ImageInput: Codable, Hashable, Sendable {
  /// Where the bytes of an image are.
  public enum Location: Codable, Hashable, Sendable {
    /// A file below a folder: `root` + `/` + the input's source.
    case file(root: String)
    /// A file under a name of its own.
    case path(String)
    /// A run of bytes in an uncompressed tar archive.
    case member(archive: String, offset: Int, size: Int)
    /// Nowhere that may be read; the reason is one line.
    case refused(reason: String)
  }

  /// The name of the sample: unique, free of dots, at most 86 printable ASCII bytes.
  public let key: String
  /// The path relative to the folder, list or archive that named the image.
  public let source: String
  /// Where the bytes are.
  public let location: Location

  /// Creates an input.
  public init(key: String, source: String, location: Location) {
    self.key = key
    self.source = source
    self.location = location
  }

  /// Reads the encoded image.
  ///
  /// - Parameter maximumBytes: Larger files are refused before anything is allocated.
  /// - Returns: The file's bytes as they are.
  /// - Throws: `FileError` or ``ImageInputError``.
  public func bytes(maximumBytes: Int) throws -> [UInt8] {
    switch location {
    case .refused(let reason):
      throw ImageInputError(source: source, reason: reason)
    case .file(let root):
      try Self.read(root + "/" + source, part: nil, source: source, maximumBytes: maximumBytes)
    case .path(let path):
      try Self.read(path, part: nil, source: source, maximumBytes: maximumBytes)
    case .member(let archive, let offset, let size):
      try Self.read(
        archive,
        part: offset..<offset + size,
        source: source,
        maximumBytes: maximumBytes
      )
    }
  }

  private static func read(
    _ path: String,
    part: Range<Int>?,
    source: String,
    maximumBytes: Int
  ) throws -> [UInt8] {
    let file = try FileRegion(path: path)
    let range = part ?? 0..<file.length
    guard range.upperBound <= file.length else {
      throw ImageInputError(source: source, reason: "its archive has become shorter")
    }
    guard range.count <= maximumBytes else {
      throw ImageInputError(
        source: source,
        reason: "\(range.count) bytes are more than the \(maximumBytes) allowed"
      )
    }
    return try file.bytes(range)
  }
}

/// Why an image cannot be read, or a list or archive of images cannot be taken apart.
public struct ImageInputError: ClassifiedError, Hashable {
  /// The image, list or archive.
  public let source: String
  /// What is wrong, and what to do about it.
  public let reason: String

  /// Creates an error.
  public init(source: String, reason: String) {
    self.source = source
    self.reason = reason
  }

  /// Always malformed or unsafe input.
  public var kind: FailureKind { .malformedInput }

  /// The source and the reason in one line.
  public var description: String { "\(source): \(reason)" }
}
