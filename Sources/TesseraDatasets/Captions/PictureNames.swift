import Foundation
import TesseraCore
import TesseraImages

/// Finds pictures by what a table may call them.
///
/// Names are compared as Unicode has it, so that a composed accent is a decomposed one; where pictures differ in
/// that alone, the bytes decide.
struct PictureNames {
  /// What a name is of a picture.
  enum Form: UInt8 {
    /// The absolute path of its file.
    case place
    /// Its path below the folder or list that named it, or in its archive, with and without the archive's name.
    case path
    /// The key of its sample, or in an archive of the sample as WebDataset groups members.
    case key
    /// The end of its path behind some folder, or its path behind the name of its folder.
    case end
  }

  private let pictures: [ImageInput]
  /// The real path of each folder and archive.
  private var places: [String: String] = [:]
  /// The first link of each chain, one more than its index; 0 for none.
  private var heads: [UInt32] = []
  private var links: [(picture: UInt32, next: UInt32)] = []

  /// The most pictures that are told apart.
  private static let most = 1 << 27

  /// Notes the names of pictures in some forms.
  ///
  /// - Throws: `TesseraError` for more pictures than fit in a table.
  init(of pictures: [ImageInput], in forms: [Form]) throws(TesseraError) {
    guard pictures.count <= Self.most else {
      throw TesseraError.limit("\(pictures.count) images are more than \(Self.most)")
    }
    self.pictures = pictures
    for picture in pictures { notePlace(of: picture) }
    var capacity = 16
    while capacity < pictures.count * forms.count { capacity *= 2 }
    heads = [UInt32](repeating: 0, count: capacity)
    links.reserveCapacity(pictures.count * forms.count)
    for (index, picture) in pictures.enumerated() {
      for form in forms {
        for name in Set(names(of: picture, in: form)) {
          let chain = chain(form, name)
          links.append((UInt32(index), heads[chain]))
          heads[chain] = UInt32(links.count)
        }
      }
    }
  }

  private func chain(_ form: Form, _ name: String) -> Int {
    var hasher = Hasher()
    hasher.combine(form.rawValue)
    hasher.combine(name)
    return hasher.finalize() & (heads.count - 1)
  }

  /// The pictures whose whole path or key a name is: from some folders, below an input, or in an archive.
  ///
  /// - Parameters:
  ///   - name: The name.
  ///   - folders: Absolute paths.
  ///   - isPlaceAlone: Whether no name counts but the path from the folders.
  /// - Returns: Their numbers.
  func pictures(called name: String, from folders: [String], isPlaceAlone: Bool) -> [Int] {
    let places = name.hasPrefix("/") ? [name] : folders.map { $0 + "/" + name }
    var found: Set<Int> = []
    for place in Set(places.map(PlainPath.plain)) {
      found.formUnion(pictures(called: place, in: .place))
    }
    if isPlaceAlone { return found.sorted() }
    let plain = PlainPath.plain(name)
    for path in Set([name, plain]) { found.formUnion(pictures(called: path, in: .path)) }
    return found.isEmpty ? pictures(called: plain, in: .key) : found.sorted()
  }

  /// The pictures that a name is of: all where they are one file given more than once, two where they are more.
  func pictures(called name: String, in form: Form) -> [Int] {
    var found: [Int] = []
    var exact: [Int] = []
    var next = heads[chain(form, name)]
    while next != 0 {
      let link = links[Int(next) - 1]
      next = link.next
      let index = Int(link.picture)
      let names = names(of: pictures[index], in: form).filter { $0 == name }
      guard !names.isEmpty else { continue }
      found.append(index)
      if names.contains(where: { $0.utf8.elementsEqual(name.utf8) }) { exact.append(index) }
      if isSeveral(exact) { break }
    }
    return (exact.isEmpty ? found : exact).reversed()
  }

  /// Whether pictures are of more than one file.
  func isSeveral(_ found: [Int]) -> Bool {
    guard let first = found.first, found.count > 1 else { return false }
    return found.dropFirst().contains { !isOneFile($0, first) }
  }

  private func isOneFile(_ first: Int, _ second: Int) -> Bool {
    guard let place = place(of: pictures[first]) else { return first == second }
    return place == self.place(of: pictures[second])
  }

  /// Whether one of the folders that were searched holds a path.
  func isInsideInput(_ folder: String) -> Bool {
    for case .file(let root) in pictures.lazy.map(\.location) {
      let root = places[root] ?? root
      if folder == root || folder.hasPrefix(root + "/") { return true }
    }
    return false
  }

  private mutating func notePlace(of picture: ImageInput) {
    let path: String
    switch picture.location {
    case .file(let root): path = root
    case .member(let archive, _, _): path = archive
    case .path, .refused: return
    }
    if places[path] == nil { places[path] = PlainPath.real(path) }
  }

  private func place(of picture: ImageInput) -> String? {
    switch picture.location {
    case .file(let root): (places[root] ?? root) + "/" + picture.source
    case .path(let path): PlainPath.absolute(path)
    case .member(let archive, let offset, _):
      "\(places[archive] ?? archive)/\(Self.member(of: picture))@\(offset)"
    case .refused: nil
    }
  }

  /// The path of an archive's member in it.
  static func member(of picture: ImageInput) -> String {
    let source = picture.source
    guard case .member(let archive, _, _) = picture.location else { return source }
    let path = PlainPath.absolute(archive)
    // The source is some end of the archive's path, and the member's.
    let slash = source.indices.first { index in
      source[index] == "/" && path.hasSuffix("/" + source[..<index])
    }
    return slash.map { String(source[source.index(after: $0)...]) } ?? source
  }

  private func names(of picture: ImageInput, in form: Form) -> [String] {
    let isMember = if case .member = picture.location { true } else { false }
    switch form {
    case .place:
      // The place of a member has its offset, and nothing in a table has that.
      guard !isMember, let place = place(of: picture) else { return [] }
      guard case .file(let root) = picture.location else { return [place] }
      return [place, PlainPath.absolute(root) + "/" + picture.source]
    case .path: return [picture.source] + (isMember ? [Self.member(of: picture)] : [])
    case .key:
      let key = isMember ? ArchiveCaptions.key(of: Self.member(of: picture)) : nil
      return [picture.key] + (key.map { [String($0)] } ?? [])
    case .end:
      var names: [String] = []
      if case .file(let root) = picture.location,
        let folder = (places[root] ?? root).split(separator: "/").last
      {
        names.append("\(folder)/\(picture.source)")
      }
      var rest = picture.source[...]
      while let slash = rest.firstIndex(of: "/") {
        rest = rest[rest.index(after: slash)...]
        if !rest.isEmpty { names.append(String(rest)) }
      }
      return names
    }
  }
}

/// Paths without `.`, `..` and doubled slashes.
enum PlainPath {
  /// An absolute path, by names alone.
  static func absolute(_ path: String) -> String { plain(WorkingFolder.absolute(path)) }

  /// The path of a folder without links; that by names alone where it cannot be found.
  static func real(_ path: String) -> String {
    guard let real = unsafe realpath(path, nil) else { return absolute(path) }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }

  /// A path without `.` and doubled slashes, and without a `..` that has a folder before it.
  static func plain(_ path: String) -> String {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    let isPlain = !parts.dropFirst().contains { $0.isEmpty || $0 == "." || $0 == ".." }
    if isPlain, let first = parts.first, first != ".", first != ".." { return path }
    let isAbsolute = path.hasPrefix("/")
    var kept: [Substring] = []
    for part in parts where !part.isEmpty && part != "." {
      if part == "..", let last = kept.last, last != ".." {
        kept.removeLast()
      } else if part != ".." || !isAbsolute {
        kept.append(part)
      }
    }
    return (isAbsolute ? "/" : "") + kept.joined(separator: "/")
  }
}
