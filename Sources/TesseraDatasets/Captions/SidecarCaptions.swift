import Foundation
import TesseraCore
import TesseraImages

/// The captions of pictures in files beside them, or in members of their archives.
struct SidecarCaptions: Sendable {
  /// The texts of archives that are no picture's; nil where no picture is in an archive.
  private(set) var unused: Int?

  private let rules: CaptionRules
  /// The text of each picture in an archive, by the picture's number, or why it is not known.
  private var members: [Int: Result<ArchiveCaptions.Text, CaptionFault>] = [:]

  /// Lists the archives of pictures.
  ///
  /// - Throws: `TesseraError` where an archive cannot be read.
  init(rules: CaptionRules, of pictures: [ImageInput]) throws {
    self.rules = rules
    var archives: [String: [Int]] = [:]
    for (index, picture) in pictures.enumerated() {
      if case .member(let archive, _, _) = picture.location {
        archives[archive, default: []].append(index)
      }
    }
    for (path, indices) in archives {
      let names = indices.map { PictureNames.member(of: pictures[$0]) }
      let archive = try ArchiveCaptions(path: path, pictures: names, endings: rules.endings)
      var used: Set<String> = []
      for (index, name) in zip(indices, names) {
        do throws(CaptionFault) {
          guard let text = try archive.caption(of: name) else { continue }
          used.insert(text.name)
          members[index] = .success(text)
        } catch {
          members[index] = .failure(error)
        }
      }
      unused = (unused ?? 0) + archive.count - used.count
    }
  }

  /// The caption of a picture; nil where it has none.
  ///
  /// - Throws: `TesseraError` where there is one that cannot be used, or where this machine cannot read it.
  func caption(of picture: ImageInput, at index: Int) throws -> String? {
    switch picture.location {
    case .refused: return nil
    case .file(let root): return try beside(root + "/" + picture.source, picture)
    case .path(let path): return try beside(path, picture)
    case .member(let archive, _, _):
      switch members[index] {
      case nil: return nil
      case .failure(let fault)?:
        throw TesseraError.malformed("its caption: \(fault)", file: picture.source)
      case .success(let text)?: return try read(archive, text.bytes, named: text.name, of: picture)
      }
    }
  }

  private func beside(_ path: String, _ picture: ImageInput) throws -> String? {
    guard let stem = ArchiveCaptions.stem(of: path) else { return nil }
    for ending in rules.endings {
      let file = "\(stem).\(ending)"
      if let text = try read(file, nil, named: file, of: picture) { return text }
    }
    return nil
  }

  /// Reads a caption; nil where there is no such file.
  private func read(
    _ file: String,
    _ part: Range<Int>?,
    named name: String,
    of picture: ImageInput
  ) throws -> String? {
    do {
      guard let bytes = try Self.bytes(of: file, part) else { return nil }
      return try text(of: bytes, isJSON: name.hasSuffix(".json"), picture)
    } catch {
      let known = error as? TesseraError
      if let known, known.isMachineFault, !known.isAboutPath { throw known }
      let last = name.split(separator: "/").last ?? ""
      let cause = known.map { $0.isMachineFault ? "\($0)" : $0.cause } ?? "\(error)"
      throw TesseraError.malformed("its caption \(last): \(cause)", file: picture.source)
    }
  }

  /// The bytes of a caption; nil where there is no such file.
  private static func bytes(of file: String, _ part: Range<Int>?) throws -> [UInt8]? {
    let region: FileRegion
    do {
      region = try FileRegion(path: file)
    } catch {
      if error.code == ENOENT || error.code == ENOTDIR { return nil }
      throw error
    }
    let range = part ?? 0..<region.length
    guard range.count <= CaptionSource.longest, range.upperBound <= region.length else {
      throw CaptionFault("\(range.count) bytes are more than the \(CaptionSource.longest) allowed")
    }
    return try region.bytes(range)
  }

  private func text(of bytes: [UInt8], isJSON: Bool, _ picture: ImageInput) throws -> String {
    let text = try TextFile.text(of: bytes, from: "")
    if isJSON {
      guard let captions = try CaptionFields(parsing: Array(text.utf8)).captions(under: rules)
      else {
        throw CaptionFault("null; write a text")
      }
      guard !captions.contains(where: { $0.utf8.contains(0) }) else {
        throw CaptionFault("it has a NUL character")
      }
      switch rules.choice {
      case nil, .first?: return captions.first ?? ""
      case .all?: return captions.joined(separator: "\n")
      case .random(let seed)?:
        return CaptionDraw(seed: seed, key: picture.key).choice(of: captions) ?? ""
      }
    }
    // Editors end a file with a line feed, which nobody means.
    if text.hasSuffix("\r\n") || text.hasSuffix("\n") { return String(text.dropLast()) }
    return text
  }
}
