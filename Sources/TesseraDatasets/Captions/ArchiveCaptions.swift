import TesseraCore
import TesseraImages

/// The captions of an archive's pictures among its members, by WebDataset's rule.
///
/// Members whose paths are the same up to the first dot of their names are one sample. The picture's own name with
/// another ending comes first, then the sample's with the ending, then any other text of the sample that is no other
/// picture's.
struct ArchiveCaptions {
  /// The member that holds a caption.
  struct Text: Sendable {
    let name: String
    let bytes: Range<Int>
  }

  private var texts: [String: Range<Int>] = [:]
  /// The names of texts by sample.
  private var samples: [String: [String]] = [:]
  /// The names of pictures and texts without their last endings.
  private var pictures: Set<Substring> = []
  private let endings: [String]

  /// Lists an archive.
  ///
  /// - Throws: `TesseraError` where it cannot be read.
  init(path: String, pictures: [String], endings: [String]) throws {
    self.endings = endings
    self.pictures = Set(pictures.compactMap(Self.stem))
    for member in try TarMembers(path: path).members where member.isRegular {
      guard endings.contains(where: { member.name.hasSuffix("." + $0) }) else { continue }
      texts[member.name] = member.offset..<member.offset + member.size
      if let key = Self.key(of: member.name) {
        samples[String(key), default: []].append(member.name)
      }
    }
  }

  /// The number of texts.
  var count: Int { texts.count }

  /// The caption of a picture; nil where there is none.
  ///
  /// - Throws: ``CaptionFault`` where several texts may be it.
  func caption(of picture: String) throws(CaptionFault) -> Text? {
    let key = Self.key(of: picture)
    for stem in [Self.stem(of: picture), key].compactMap({ $0 }) {
      for ending in endings {
        let name = "\(stem).\(ending)"
        if let bytes = texts[name] { return Text(name: name, bytes: bytes) }
      }
    }
    let others = samples[key.map(String.init) ?? ""]?.filter { name in
      !name.hasSuffix(".json") && !(Self.stem(of: name).map(pictures.contains) ?? false)
    }
    guard let name = others?.first, let bytes = texts[name] else { return nil }
    if let second = others?.dropFirst().first {
      throw CaptionFault("it may be \(name) or \(second): choose by --caption-ending")
    }
    return Text(name: name, bytes: bytes)
  }

  /// The path without the name's last ending.
  static func stem(of path: String) -> Substring? {
    guard let dot = path.lastIndex(of: "."), !path[dot...].contains("/") else { return nil }
    return path[..<dot]
  }

  /// The key of the sample that a member is of: the path up to the first dot of its name; nil where it has none.
  static func key(of path: String) -> Substring? {
    let name = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
    guard let dot = path[name...].firstIndex(of: "."), dot != name else { return nil }
    return path[..<dot]
  }
}
