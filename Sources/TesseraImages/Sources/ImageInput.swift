import Foundation
import TesseraCore

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

  /// The name of the sample: unique, free of dots, at most 83 printable ASCII bytes.
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
  /// - Throws: `TesseraError`.
  public func bytes(maximumBytes: Int) throws -> [UInt8] {
    let (file, range) = try place(maximumBytes: maximumBytes)
    return try file.bytes(range)
  }

  /// Reads what the file says before its pixels: the first 64 KiB, more only where they are not enough.
  ///
  /// - Parameter limits: What the file may demand.
  /// - Returns: Format, size and orientation.
  /// - Throws: `TesseraError`.
  public func header(limits: ImageLimits = .standard) throws -> ImageHeader {
    let (file, range) = try place(maximumBytes: limits.bytes)
    let decoder = ImageDecoder(limits: limits)
    var count = 1 << 16
    while true {
      let start = try file.bytes(range.prefix(count))
      do {
        return try decoder.header(of: start, ofFileOf: range.count)
      } catch {
        guard error.detail == .truncated, start.count < range.count else { throw error }
        count *= 8
      }
    }
  }

  /// The file and the part of it that holds the image, checked against its length and the limit.
  private func place(maximumBytes: Int) throws -> (FileRegion, Range<Int>) {
    let file: FileRegion
    var part: Range<Int>?
    switch location {
    case .refused(let reason): throw TesseraError.malformed(reason, file: source)
    case .file(let root): file = try FileRegion(path: root + "/" + source)
    case .path(let path): file = try FileRegion(path: path)
    case .member(let archive, let offset, let size):
      file = try FileRegion(path: archive)
      part = offset..<offset + size
    }
    let range = part ?? 0..<file.length
    guard range.upperBound <= file.length else {
      throw TesseraError.malformed("its archive has become shorter", file: source)
    }
    guard range.count <= maximumBytes else {
      throw TesseraError.malformed(
        "\(range.count) bytes are more than the \(maximumBytes) allowed",
        file: source
      )
    }
    return (file, range)
  }
}
