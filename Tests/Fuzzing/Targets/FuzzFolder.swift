internal import Foundation
import TesseraCheckpoints
import TesseraCore

/// The files that an input of several files holds: before each a mark and a line with its path.
public enum FuzzFiles {
  /// What stands before each file: bytes that hardly stand in a file.
  public static let mark: [UInt8] = [0x1C, 0x1D, 0x1E, 0x1F]

  /// One file.
  public struct Entry: Sendable {
    /// The path below the folder.
    public let name: String
    /// Where its bytes stand in the input.
    public let bytes: Range<Int>
  }

  private static let most = 24
  private static let longestName = 120

  /// The files of an input, as many as a run writes; what stands before the first mark is none of them.
  public static func entries(of input: [UInt8]) -> [Entry] {
    let starts = startsOfFiles(in: input)
    return zip(starts, starts.dropFirst().map { $0 - mark.count } + [input.count])
      .prefix(most).compactMap { start, end in
        guard let line = input[start..<end].prefix(longestName + 1).firstIndex(of: 0x0A) else {
          return nil
        }
        let name = String(decoding: input[start..<line], as: UTF8.self)
        // Bytes that are not UTF-8 become longer.
        let isName = SafePath.isInside(name) && name.utf8.count <= longestName
        return isName ? Entry(name: name, bytes: line + 1..<end) : nil
      }
  }

  /// Where each file's line begins; the system looks for candidates, which the sanitizer does not slow down.
  private static func startsOfFiles(in input: [UInt8]) -> [Int] {
    unsafe input.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return [] }
      var starts: [Int] = []
      var position = 0
      while let found = unsafe memchr(base + position, Int32(mark[0]), bytes.count - position) {
        position = unsafe UnsafeRawPointer(found) - base + 1
        let end = position + mark.count - 1
        guard end <= bytes.count else { break }
        guard unsafe bytes[position..<end].elementsEqual(mark.dropFirst()) else { continue }
        position = end
        starts.append(end)
      }
      return starts
    }
  }
}

/// A folder in memory that is filled for each input and emptied after it.
public final class FuzzFolder {
  /// Its path.
  public let path: String
  /// What the last input left, files after the folders that hold them.
  private var made: [(path: String, isFolder: Bool)] = []

  /// Why the folder cannot be filled, which says nothing of the input.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Makes an empty folder, in memory where the machine has such a place.
  public init() throws {
    let isThere = FileManager.default.isWritableFile(atPath: "/dev/shm")
    let parent = isThere ? "/dev/shm" : NSTemporaryDirectory()
    path = "\(parent)/tessera-fuzz-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    guard unsafe mkdir(path, 0o700) == 0 else { throw Failure(description: "no folder \(path)") }
  }

  deinit {
    empty()
    unsafe rmdir(path)
  }

  /// Writes an input's files; the path of the only one, or of the folder.
  func fill(_ form: FuzzTarget.Form, _ input: [UInt8]) throws -> String {
    switch form {
    case .file(let name):
      try write(input[...], to: name)
      return "\(path)/\(name)"
    case .folder:
      for entry in FuzzFiles.entries(of: input) {
        // Two names of which one is the other's folder: the first counts.
        guard makeFolders(above: entry.name) else { continue }
        try write(input[entry.bytes], to: entry.name)
      }
      return path
    }
  }

  /// Removes what the last input left.
  func empty() {
    for entry in made.reversed() {
      _ = unsafe entry.isFolder ? rmdir(entry.path) : unlink(entry.path)
    }
    made = []
  }

  private func makeFolders(above name: String) -> Bool {
    var folder = path
    for part in name.split(separator: "/").dropLast() {
      folder += "/\(part)"
      if unsafe mkdir(folder, 0o700) == 0 {
        made.append((folder, true))
      } else if errno != EEXIST || !Checkpoint.isFolder(folder) {
        return false
      }
    }
    return !Checkpoint.isFolder("\(path)/\(name)")
  }

  private func write(_ bytes: ArraySlice<UInt8>, to name: String) throws {
    let file = "\(path)/\(name)"
    let descriptor = unsafe open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure(description: "no file \(file)") }
    defer { close(descriptor) }
    made.append((file, false))
    let count = unsafe bytes.withUnsafeBytes { bytes in
      unsafe Foundation.write(descriptor, bytes.baseAddress, bytes.count)
    }
    guard count == bytes.count else { throw Failure(description: "\(file) is not written") }
  }
}
