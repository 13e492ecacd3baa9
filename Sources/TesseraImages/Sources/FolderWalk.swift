import Foundation
import TesseraCore

/// The pictures below a folder, sorted by the bytes of their relative paths, and the account of all else.
///
/// Links are followed to files that lie in the folder themselves; others only where the selection says so.
/// Every folder is opened from the one at the root, so a path may be of any length.
struct FolderWalk {
  /// One picture.
  struct File {
    /// The path relative to the folder.
    let path: String
    /// Why the file may not be read, if it may not.
    let refusal: String?
  }

  /// The pictures in order.
  private(set) var files: [File] = []
  /// What was met beside them.
  private(set) var account = InputAccount()
  /// What might surprise, a sentence each.
  private(set) var notes: [String] = []

  let root: String
  let selection: ImageSelection
  private let realRoot: String
  /// The most bytes of a relative path that can be opened together with the root.
  private let longestPath: Int
  private var folders: [Folder] = [Folder(path: [], omission: nil)]
  private var linkedFolders: [Folder] = []
  private var listed: Set<Identity> = []

  /// A folder that is to be listed.
  private struct Folder {
    /// Relative to the root: empty, or ending in a slash.
    let path: [UInt8]
    /// Why nothing in it is taken, if nothing is.
    let omission: InputAccount.Kind?
  }

  /// What a folder is, under whichever name.
  private struct Identity: Hashable {
    let device: UInt64
    let node: UInt64
  }

  /// Walks the folder at `root`.
  init(root: String, _ selection: ImageSelection) throws(TesseraError) {
    self.root = root
    self.selection = selection
    guard let real = Self.realPath(root) else {
      throw TesseraError.system("find", root, errno)
    }
    realRoot = real
    let absolute =
      root.hasPrefix("/")
      ? root : FileManager.default.currentDirectoryPath + "/" + root
    longestPath = Int(PATH_MAX) - 2 - max(absolute.utf8.count, real.utf8.count)
    let top = unsafe Foundation.open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard top >= 0 else { throw TesseraError.system("list", root, errno) }
    defer { _ = close(top) }
    repeat {
      while let folder = folders.popLast() { try list(folder, below: top) }
      // What lies in the folder itself keeps its own path: links are entered when all of it is listed.
      folders = linkedFolders.sorted { $1.path.lexicographicallyPrecedes($0.path) }
      linkedFolders = []
    } while !folders.isEmpty
    files.sort { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
  }

  /// Lists one folder.
  private mutating func list(_ folder: Folder, below top: Int32) throws(TesseraError) {
    guard let stream = unsafe try stream(of: folder, below: top) else { return }
    defer { unsafe _ = closedir(stream) }
    let descriptor = unsafe dirfd(stream)
    guard try isNew(descriptor, folder) else { return }
    var captions = CaptionNames(endings: selection.captionEndings, groups: false)
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else {
        guard errno == 0 else { throw failure("list", folder.path) }
        break
      }
      let bytes = unsafe withUnsafeBytes(of: entry.pointee.d_name) { name in
        unsafe Array(name.prefix { $0 != 0 })
      }
      if bytes == [UInt8(ascii: ".")] || bytes == Array("..".utf8) { continue }
      let type = unsafe Int32(entry.pointee.d_type)
      let met = Entry(name: bytes, folder: folder.path, parent: descriptor)
      try note(met, type, in: folder, &captions)
    }
    captions.settle(in: &account)
  }

  /// Opens a folder; nil for one of which nothing is taken and that may not be listed.
  private mutating func stream(
    of folder: Folder,
    below top: Int32
  ) throws(TesseraError) -> OpaquePointer? {
    let descriptor = Self.openFolder(folder.path, below: top)
    if descriptor < 0 {
      let code = errno
      let isForbidden = [EACCES, EPERM].contains(code)
      guard folder.omission != nil, isForbidden else {
        var error = TesseraError.system("list", place(of: folder.path), code)
        if isForbidden { error.cause += "; make it readable, or leave it out with --exclude" }
        throw error
      }
      notes.append("\(place(of: folder.path)): cannot be listed; what it holds is not counted")
      return nil
    }
    guard let stream = unsafe fdopendir(descriptor) else {
      let error = failure("list", folder.path)
      close(descriptor)
      throw error
    }
    return unsafe stream
  }

  /// Opens a folder from the root in steps that the system takes.
  private static func openFolder(_ path: [UInt8], below top: Int32) -> Int32 {
    let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
    var current = unsafe openat(top, ".", flags)
    var rest = path[...]
    while current >= 0, !rest.isEmpty {
      var step = rest.prefix(Int(PATH_MAX) - 2)
      if step.count < rest.count, let slash = step.lastIndex(of: UInt8(ascii: "/")) {
        step = step[...slash]
      }
      rest = rest[step.endIndex...]
      let name = step.map { CChar(bitPattern: $0) } + [0]
      let next = unsafe openat(current, name, flags)
      let code = errno
      close(current)
      errno = code
      current = next
    }
    return current
  }

  /// Whether a folder was not listed yet: where links are followed, they may lead round in circles.
  private mutating func isNew(_ descriptor: Int32, _ folder: Folder) throws(TesseraError) -> Bool {
    guard selection.followsLinks else { return true }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw failure("look at", folder.path) }
    return listed.insert(Identity(device: UInt64(status.st_dev), node: UInt64(status.st_ino)))
      .inserted
  }

  private mutating func note(
    _ entry: Entry,
    _ type: Int32,
    in folder: Folder,
    _ captions: inout CaptionNames
  ) throws(TesseraError) {
    let omission = folder.omission ?? selection.omission(of: entry.text, named: entry.nameText)
    switch type == Int32(DT_UNKNOWN) ? try self.type(of: entry) : type {
    case Int32(DT_DIR):
      folders.append(Folder(path: entry.path + [UInt8(ascii: "/")], omission: omission))
    case Int32(DT_LNK):
      if let omission { return account.add(omission, entry.name) }
      try noteLink(entry, &captions)
    case Int32(DT_REG):
      if let omission { return account.add(omission, entry.name) }
      try noteFile(entry, &captions)
    default:
      guard omission == nil, ImageInputs.isImageName(entry.name) else { return }
      notes.append("\(place(of: entry.path)): a pipe, socket or device, and no file; not read")
    }
  }

  /// The type of an entry, where the folder does not tell it.
  private func type(of entry: Entry) throws(TesseraError) -> Int32 {
    var status = stat()
    guard unsafe fstatat(entry.parent, entry.cName, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      throw failure("look at", entry.path)
    }
    return switch status.st_mode & S_IFMT {
    case S_IFDIR: Int32(DT_DIR)
    case S_IFLNK: Int32(DT_LNK)
    case S_IFREG: Int32(DT_REG)
    default: Int32(DT_SOCK)
    }
  }

  private mutating func noteFile(
    _ entry: Entry,
    _ captions: inout CaptionNames
  ) throws(TesseraError) {
    var isPicture = ImageInputs.isImageName(entry.name)
    if !isPicture {
      guard let start = try self.start(of: entry) else {
        return account.add(.unreadable, entry.name)
      }
      isPicture = ImageFormat.isPicture(start)
    }
    guard isPicture else {
      if !captions.take(entry.name) { account.add(.other, entry.name) }
      return
    }
    captions.addPicture(entry.name)
    files.append(File(path: entry.text, refusal: refusal(of: entry)))
  }

  /// Why a picture cannot be opened by its path; nil where it can.
  private func refusal(of entry: Entry) -> String? {
    if String(validating: entry.path, as: UTF8.self) == nil {
      return "its name is not UTF-8: rename the file"
    }
    if entry.path.count > longestPath {
      return "a path of more than \(PATH_MAX - 1) bytes: name a folder nearer to it as an input"
    }
    return nil
  }

  /// The first bytes of a file; nil where it may not be read.
  private func start(of entry: Entry) throws(TesseraError) -> [UInt8]? {
    let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
    let descriptor = unsafe openat(entry.parent, entry.cName, flags)
    guard descriptor >= 0 else {
      if [EACCES, EPERM, ENOENT].contains(errno) { return nil }
      throw failure("open", entry.path)
    }
    defer { _ = close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: ImageFormat.recognisedBytes)
    var count = -1
    repeat {
      count = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe Foundation.read(descriptor, buffer.baseAddress, buffer.count)
      }
    } while count < 0 && errno == EINTR
    guard count >= 0 else { throw failure("read", entry.path) }
    return Array(bytes.prefix(count))
  }

  private mutating func noteLink(
    _ entry: Entry,
    _ captions: inout CaptionNames
  ) throws(TesseraError) {
    let isImage = ImageInputs.isImageName(entry.name)
    func refuse(_ reason: String) {
      guard isImage else { return account.add(.link, entry.name) }
      files.append(File(path: entry.text, refusal: refusal(of: entry) ?? reason))
    }
    var status = stat()
    guard unsafe fstatat(entry.parent, entry.cName, &status, 0) == 0 else {
      let error = failure("follow the link", entry.path)
      // What may not be looked at lies elsewhere.
      guard error.isAboutPath || (!selection.followsLinks && error.code == EACCES) else {
        throw error
      }
      return refuse(error.code == EACCES ? Self.leavesFolder : "a link to nothing")
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      let identity = Identity(device: UInt64(status.st_dev), node: UInt64(status.st_ino))
      guard selection.followsLinks, !listed.contains(identity) else {
        return account.add(.linkedFolder, entry.name)
      }
      linkedFolders.append(Folder(path: entry.path + [UInt8(ascii: "/")], omission: nil))
    case S_IFREG where selection.followsLinks || isInside(entry):
      try noteFile(entry, &captions)
    case S_IFREG: refuse(Self.leavesFolder)
    default: refuse("a link to a pipe, socket or device")
    }
  }

  private static let leavesFolder =
    "a link that leaves the folder: --follow-links reads it, or name its target"

  /// Whether a link ends in the folder itself.
  private func isInside(_ entry: Entry) -> Bool {
    guard entry.path.count <= longestPath, String(validating: entry.path, as: UTF8.self) != nil
    else { return false }
    let inside = realRoot == "/" ? "/" : realRoot + "/"
    return Self.realPath(root + "/" + entry.text)?.hasPrefix(inside) ?? false
  }

  private func place(of path: [UInt8]) -> String {
    root + "/" + String(decoding: path, as: UTF8.self)
  }

  private func failure(_ operation: String, _ path: [UInt8]) -> TesseraError {
    TesseraError.system(operation, place(of: path), errno)
  }

  private static func realPath(_ path: String) -> String? {
    guard let resolved = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }
}

/// An entry of a folder that is open.
private struct Entry {
  let name: [UInt8]
  let folder: [UInt8]
  /// The open folder.
  let parent: Int32

  var path: [UInt8] { folder + name }
  var text: String { String(decoding: path, as: UTF8.self) }
  var nameText: String { String(decoding: name, as: UTF8.self) }
  var cName: [CChar] { name.map { CChar(bitPattern: $0) } + [0] }
}
