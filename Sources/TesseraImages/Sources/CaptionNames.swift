/// The files of one folder or archive that are named like captions, until it is known which of them lie beside
/// a picture.
struct CaptionNames {
  private typealias Name = ArraySlice<UInt8>

  /// The endings with their dots.
  private let endings: [[UInt8]]
  private let groups: Bool
  private var candidates: [[UInt8]] = []
  /// The pictures' paths without their last endings, and where members are grouped, up to the first dot.
  private var stems: Set<Name> = []

  /// Begins with none.
  ///
  /// - Parameters:
  ///   - endings: Those of captions, without a dot in front; none where captions are not asked for.
  ///   - groups: Whether files whose paths are the same up to the first dot of their names are one sample, as
  ///     WebDataset has it of an archive's members.
  init(endings: [String], groups: Bool) {
    self.endings = endings.map { Array(".\($0)".utf8) }
    self.groups = groups
  }

  /// Notes a picture, which may have captions.
  mutating func addPicture(_ name: [UInt8]) {
    guard !endings.isEmpty else { return }
    if let dot = Self.dots(of: name).last { stems.insert(name[..<dot]) }
    if groups, let key = Self.key(of: name) { stems.insert(key) }
  }

  /// Keeps the name of a file that may be a caption; false where it is none by its ending.
  mutating func take(_ name: [UInt8]) -> Bool {
    guard endings.contains(where: { name.count > $0.count && name.suffix($0.count) == $0[...] })
    else { return false }
    candidates.append(name)
    return true
  }

  /// Counts each as what it is.
  func settle(in account: inout InputAccount) {
    for name in candidates {
      let isBeside = endings.contains { ending in
        name.suffix(ending.count) == ending[...] && stems.contains(name.dropLast(ending.count))
      }
      if isBeside || groups && Self.key(of: name).map(stems.contains) == true {
        account.addCaption()
      } else {
        account.add(.other, name)
      }
    }
  }

  /// The path up to the first dot of its name.
  private static func key(of name: [UInt8]) -> Name? { dots(of: name).first.map { name[..<$0] } }

  /// Where the dots of a path's name are.
  private static func dots(of name: [UInt8]) -> [Int] {
    let start = name.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
    return name.indices.filter { $0 > start && name[$0] == UInt8(ascii: ".") }
  }
}
