import Foundation
import TesseraCore

/// Every image that a list of folders, files, lists and archives names, in a fixed order.
///
/// The order is that of the arguments; inside a folder that of the paths' bytes. Nothing but names,
/// links and tar headers is read. While it is made the list takes about 300 bytes per image.
public struct ImageInputs: Sendable {
  /// The images.
  public let inputs: [ImageInput]
  /// What was passed over and might surprise, a sentence each.
  public let notes: [String]

  /// Finds the images.
  ///
  /// - Parameter paths: Each a folder (searched through, for files named .jpg, .jpeg or .png in any
  ///   case), an image file of any name, a list (.txt: one path per line, relative to the list's own
  ///   folder) or an uncompressed archive (.tar: members named like images).
  /// - Returns: The images with unique keys.
  /// - Throws: `TesseraError` where a path cannot be read, or where a list or archive
  ///   is damaged or nothing at all was found.
  public static func collect(_ paths: [String]) throws -> ImageInputs {
    var found = FoundImages()
    for path in paths {
      try found.add(path)
    }
    guard !found.images.isEmpty else {
      throw TesseraError.malformed(
        "no image found; name a folder of \(ImageFormat.endings) files, a .txt or a .tar",
        file: paths.joined(separator: " ")
      )
    }
    let keys = SampleKeys.unique(for: found.images.map(\.named))
    return ImageInputs(
      inputs: zip(keys, found.images).map { key, image in
        ImageInput(key: key, source: image.source, location: image.location)
      },
      notes: found.notes
    )
  }

  /// Whether a name is that of an image: it ends as one of ``ImageFormat``, in any case.
  static func isImageName(_ name: some StringProtocol) -> Bool {
    let lower = name.lowercased()
    return ImageFormat.allCases.contains { format in
      format.entry.endings.contains { lower.hasSuffix(".\($0)") }
    }
  }
}

/// An image that has no key yet.
private struct FoundImage {
  let source: String
  /// The path that makes the key: the source, but in an archive without the archive's name.
  let named: String
  let location: ImageInput.Location
}

private struct FoundImages {
  var images: [FoundImage] = []
  var notes: [String] = []

  mutating func add(_ path: String) throws {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else {
      throw TesseraError.system("find", path, errno)
    }
    let lower = path.lowercased()
    if status.st_mode & S_IFMT == S_IFDIR {
      try addFolder(path)
    } else if lower.hasSuffix(".txt") {
      try addList(path)
    } else if lower.hasSuffix(".tar") {
      try addArchive(path)
    } else if lower.hasSuffix(".tgz") || lower.hasSuffix(".tar.gz") {
      throw TesseraError.malformed("a compressed archive: unpack it to a .tar first", file: path)
    } else {
      addFile(path, source: lastComponent(path))
    }
  }

  private mutating func addFile(_ path: String, source: String) {
    images.append(FoundImage(source: source, named: source, location: .path(path)))
  }

  private mutating func addFolder(_ folder: String) throws {
    let root = folder.count > 1 && folder.hasSuffix("/") ? String(folder.dropLast()) : folder
    let walk = try FolderWalk(root: root)
    notes += walk.notes
    images += walk.files.map { file in
      FoundImage(
        source: file.path,
        named: file.path,
        location: file.refusal.map { .refused(reason: $0) } ?? .file(root: root)
      )
    }
  }

  /// A list names files with the user's authority: absolute paths and `..` are followed.
  private mutating func addList(_ list: String) throws {
    let folder = URL(filePath: list).deletingLastPathComponent().standardizedFileURL.path
    let file = try FileRegion(path: list)
    guard file.length <= 1 << 30 else {
      throw TesseraError.malformed("a list of more than 1 GiB: split it", file: list)
    }
    let newline = UInt8(ascii: "\n")
    let first = images.count
    var missing: TesseraError?
    let lines = try TextFile.unmarked(file.bytes(0..<file.length), from: list)
      .split(separator: newline, omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      let trimmed = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      guard !trimmed.isEmpty else { continue }
      guard let text = String(validating: trimmed, as: UTF8.self), !text.contains("\0") else {
        throw TesseraError.malformed("line \(index + 1) is not a path in UTF-8", file: list)
      }
      if let scheme = RemoteLocation.scheme(in: text) {
        throw TesseraError.malformed(
          "line \(index + 1), '\(text.prefix(200))', is no local file; "
            + "\(RemoteLocation.advice(for: scheme))",
          file: list
        )
      }
      let path = text.hasPrefix("/") ? text : folder + "/" + text
      let plain = URL(filePath: path).standardizedFileURL.path
      let inside = plain.hasPrefix(folder + "/")
      let source = String(plain.dropFirst(inside ? folder.utf8.count + 1 : 1))
      let location: ImageInput.Location =
        if let error = try Self.refusal(of: plain) {
          .refused(reason: String(error.description.dropFirst(plain.count + 2)))
        } else if inside { .file(root: folder) } else { .path(plain) }
      images.append(FoundImage(source: source, named: source, location: location))
      if case .refused = location, missing == nil {
        let operation = "find any file of the list; the first"
        missing = TesseraError.system(operation, plain, ENOENT)
      }
    }
    let found = images[first...]
    let isAnyThere = found.contains { if case .refused = $0.location { false } else { true } }
    // One missing file is a fault of the list; where all are, the disk that holds them is not there.
    if let missing, !isAnyThere, found.count > 1 { throw missing }
  }

  /// Why a path of a list is no image, or nil.
  ///
  /// What cannot be found out ends the run: a list does not become empty because a mount is gone.
  private static func refusal(of path: String) throws(TesseraError) -> TesseraError? {
    var status = stat()
    let error: TesseraError
    if unsafe stat(path, &status) != 0 {
      error = TesseraError.system("open", path, errno)
    } else if status.st_mode & S_IFMT != S_IFREG {
      let code = status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL
      error = TesseraError.system("read as a regular file", path, code)
    } else {
      return nil
    }
    guard error.isAboutPath else { throw error }
    return error
  }

  private mutating func addArchive(_ archive: String) throws {
    let name = lastComponent(archive)
    for member in try TarMembers(path: archive).members
    where ImageInputs.isImageName(member.name) {
      let location: ImageInput.Location =
        member.isRegular
        ? .member(archive: archive, offset: member.offset, size: member.size)
        : .refused(reason: "a link inside an archive: store the image itself")
      images.append(
        FoundImage(source: "\(name)/\(member.name)", named: member.name, location: location)
      )
    }
  }

  private func lastComponent(_ path: String) -> String {
    String(path.split(separator: "/").last ?? "image")
  }
}
