/// The files of one folder or archive that are named like captions, until it is known which of them lie beside
/// a picture.
struct CaptionNames {
  private let endings: [[UInt8]]
  private var candidates: [[UInt8]] = []
  private var stems: Set<ArraySlice<UInt8>> = []

  /// Begins with none.
  ///
  /// - Parameter endings: Those of captions, without a dot; none where captions are not asked for.
  init(endings: [String]) { self.endings = endings.map { Array($0.utf8) } }

  /// Notes a picture, which may have captions.
  mutating func addPicture(_ name: [UInt8]) {
    if !endings.isEmpty { stems.insert(Self.stem(of: name)) }
  }

  /// Keeps the name of a file that may be a caption; false where it is none by its ending.
  mutating func take(_ name: [UInt8]) -> Bool {
    let stem = Self.stem(of: name)
    guard endings.contains(where: { name.dropFirst(stem.count + 1).elementsEqual($0) }) else {
      return false
    }
    candidates.append(name)
    return true
  }

  /// Counts each as what it is.
  func settle(in account: inout InputAccount) {
    for name in candidates {
      if stems.contains(Self.stem(of: name)) {
        account.addCaption()
      } else {
        account.add(.other, name)
      }
    }
  }

  /// The path without its last ending.
  private static func stem(of name: [UInt8]) -> ArraySlice<UInt8> {
    guard let dot = name.lastIndex(of: UInt8(ascii: ".")),
      !name[dot...].contains(UInt8(ascii: "/"))
    else { return name[...] }
    return name[..<dot]
  }
}
