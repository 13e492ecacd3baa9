import Foundation
import TesseraCore

/// An image that has no key yet.
struct FoundImage {
  /// What its sample will state.
  var source: String
  /// The path that makes the key: the source as the argument alone gives it, but in an archive without the
  /// archive's name.
  let named: String
  var location: ImageInput.Location
  /// The index of the folder below which the source lies.
  let folder: Int
}

/// The images of one argument after another.
struct FoundImages {
  var images: [FoundImage] = []
  private(set) var account = InputAccount()
  private(set) var notes: [String] = []
  /// The folders below which sources lie, absolute, each ending in a slash.
  private(set) var folders: [String] = []
  private var damagedArchives: [TesseraError] = []
  private let selection: ImageSelection

  init(_ selection: ImageSelection) { self.selection = selection }

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
      let name = lastComponent(path)
      add(source: name, .path(path), in: folder(of: path))
    }
  }

  /// Throws where there is nothing but archives that are damaged.
  func checkArchives() throws {
    if let first = damagedArchives.first, damagedArchives.count == images.count { throw first }
  }

  private mutating func add(
    source: String,
    named: String? = nil,
    _ location: ImageInput.Location,
    in folder: Int
  ) {
    images.append(
      FoundImage(source: source, named: named ?? source, location: location, folder: folder)
    )
  }

  /// The number of the folder at an absolute path that ends in a slash.
  private mutating func number(ofFolder path: String) -> Int {
    if folders.last != path { folders.append(path) }
    return folders.count - 1
  }

  /// The number of the folder in which a file lies.
  private mutating func folder(of path: String) -> Int {
    let absolute = Self.absolute(path)
    return number(
      ofFolder: String(absolute.dropLast(absolute.split(separator: "/").last?.count ?? 0))
    )
  }

  /// A path from the root, without `.` and `..`; links stay as they are.
  private static func absolute(_ path: String) -> String {
    URL(filePath: path).standardizedFileURL.path(percentEncoded: false)
  }

  private mutating func addFolder(_ folder: String) throws {
    let root = folder.count > 1 && folder.hasSuffix("/") ? String(folder.dropLast()) : folder
    let walk = try FolderWalk(root: root, selection)
    let absolute = Self.absolute(root)
    let number = number(ofFolder: absolute.hasSuffix("/") ? absolute : absolute + "/")
    notes += walk.notes
    account.add(walk.account)
    images.reserveCapacity(images.count + walk.files.count)
    for file in walk.files {
      add(
        source: file.path,
        file.refusal.map { .refused(reason: $0) } ?? .file(root: root),
        in: number
      )
    }
  }

  /// A list names files with the user's authority: absolute paths and `..` are followed.
  private mutating func addList(_ list: String) throws {
    let folder = URL(filePath: list).deletingLastPathComponent().standardizedFileURL.path
    let own = number(ofFolder: folder.hasSuffix("/") ? folder : folder + "/")
    let first = images.count
    var missing: TesseraError?
    for (index, line) in try ListFile.lines(of: list) {
      guard let text = String(validating: line, as: UTF8.self), !text.contains("\0") else {
        throw TesseraError.malformed("line \(index) is not a path in UTF-8", file: list)
      }
      if let scheme = RemoteLocation.scheme(in: text) {
        throw TesseraError.malformed(
          "line \(index), '\(text.prefix(200))', is no local file; "
            + "\(RemoteLocation.advice(for: scheme))",
          file: list
        )
      }
      let path = text.hasPrefix("/") ? text : folder + "/" + text
      let plain = URL(filePath: path).standardizedFileURL.path
      let inside = plain.hasPrefix(folder + "/")
      let source = String(plain.dropFirst(inside ? folder.utf8.count + 1 : 1))
      if selection.isExcluded(source) {
        account.add(.excluded, source.utf8)
        continue
      }
      let location: ImageInput.Location =
        if let error = try Self.refusal(of: plain) {
          .refused(reason: String(error.description.dropFirst(plain.count + 2)))
        } else if inside { .file(root: folder) } else { .path(plain) }
      add(source: source, location, in: inside ? own : number(ofFolder: "/"))
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

  /// An archive that is damaged is one refused input: nothing of it is taken.
  private mutating func addArchive(_ archive: String) throws {
    let name = lastComponent(archive)
    let own = folder(of: archive)
    let members: [ArchiveWalk.Member]
    do {
      let walk = try ArchiveWalk(path: archive, selection)
      members = walk.members
      account.add(walk.account)
    } catch let error as TesseraError {
      if error.isMachineFault { throw error }
      damagedArchives.append(error)
      var reason = error
      reason.file = ""
      return add(
        source: name,
        .refused(reason: "\(reason); nothing of the archive is read"),
        in: own
      )
    }
    for member in members {
      add(source: "\(name)/\(member.name)", named: member.name, member.location, in: own)
    }
  }

  private func lastComponent(_ path: String) -> String {
    String(path.split(separator: "/").last ?? "image")
  }
}
