import Foundation
import TesseraCore
package import TesseraImages

/// Where the captions of images come from.
public struct CaptionSource: Sendable {
  /// What manifests call it: `sidecar` or `manifest`.
  public let name: String
  private let kind: Kind

  private enum Kind: Sendable {
    case sidecar
    case manifest(CaptionManifest)
  }

  /// The most bytes of one caption.
  static let longest = 1 << 20

  /// Files beside the images, or members of their archive.
  ///
  /// Their name is the image's with `.txt`, or with `.json`, whose field `caption`, `text`, `prompt` or
  /// `description` counts.
  public static let sidecar = CaptionSource(name: "sidecar", kind: .sidecar)

  private init(name: String, kind: Kind) {
    self.name = name
    self.kind = kind
  }

  /// Reads a list of captions: CSV, TSV, JSON Lines or Parquet with a column of images (`file_name`,
  /// `image`, `path`, `source` or `key`) and one of texts (`caption` or `text`).
  ///
  /// - Throws: `TesseraError` that names the line.
  public init(manifest path: String) throws {
    name = "manifest"
    kind = .manifest(try CaptionManifest(path: path))
  }

  /// The captions of images, in their order; empty where there is none.
  ///
  /// - Parameter inputs: The images.
  /// - Returns: A caption an image, or why the image is refused.
  /// - Throws: `TesseraError` where an archive cannot be read.
  package func captions(of inputs: [ImageInput]) throws -> CaptionLookup {
    switch kind {
    case .manifest(let manifest): return CaptionLookup(manifest: manifest, members: [:])
    case .sidecar:
      var members: [String: [String: Range<Int>]] = [:]
      for case .member(let archive, _, _) in inputs.lazy.map(\.location)
      where members[archive] == nil {
        var texts: [String: Range<Int>] = [:]
        for member in try TarMembers(path: archive).members where member.isRegular {
          let isText = member.name.hasSuffix(".txt") || member.name.hasSuffix(".json")
          if isText { texts[member.name] = member.offset..<member.offset + member.size }
        }
        members[archive] = texts
      }
      return CaptionLookup(manifest: nil, members: members)
    }
  }
}

/// Finds the caption of one image.
package struct CaptionLookup: Sendable {
  /// A list of captions; nil for files beside the images.
  let manifest: CaptionManifest?
  /// The texts of each archive by name.
  let members: [String: [String: Range<Int>]]

  /// The caption of an image; empty where there is none.
  ///
  /// - Throws: `TesseraError` where there is one that cannot be used, or where this machine
  ///   cannot read it.
  package func caption(of input: ImageInput) throws -> String {
    if let manifest {
      do throws(CaptionFault) {
        return try Self.find(input, in: manifest) ?? ""
      } catch {
        throw TesseraError.malformed("its caption: \(error)", file: input.source)
      }
    }
    let files: [(name: String, file: String, part: Range<Int>?)]
    switch input.location {
    case .refused: return ""
    case .file(let root): files = Self.beside(root + "/" + input.source)
    case .path(let path): files = Self.beside(path)
    case .member(let archive, _, _):
      let name = input.source.split(separator: "/", maxSplits: 1).last.map(String.init) ?? ""
      files = Self.stems(of: name).compactMap { text in
        members[archive]?[text].map { (text, archive, $0) }
      }
    }
    for (name, file, part) in files {
      do {
        guard let bytes = try Self.read(file, part) else { continue }
        return try Self.text(of: bytes, isJSON: name.hasSuffix(".json"))
      } catch {
        let known = error as? TesseraError
        if let known, known.isMachineFault, !known.isAboutPath { throw known }
        let last = name.split(separator: "/").last ?? ""
        let cause = known.map { $0.isMachineFault ? "\($0)" : $0.cause } ?? "\(error)"
        throw TesseraError.malformed("its caption \(last): \(cause)", file: input.source)
      }
    }
    return ""
  }

  private static func stems(of path: String) -> [String] {
    guard let dot = path.lastIndex(of: "."), !path[dot...].contains("/") else { return [] }
    return ["txt", "json"].map { path[...dot] + $0 }
  }

  private static func beside(_ path: String) -> [(String, String, Range<Int>?)] {
    stems(of: path).map { ($0, $0, nil) }
  }

  /// The bytes of a caption; nil where there is no such file.
  private static func read(_ file: String, _ part: Range<Int>?) throws -> [UInt8]? {
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

  private static func text(of bytes: [UInt8], isJSON: Bool) throws -> String {
    let text = try TextFile.text(of: bytes, from: "")
    if isJSON {
      guard let caption = try CaptionFields(parsing: Array(text.utf8)).caption() else {
        throw CaptionFault("null; write a text")
      }
      guard !caption.utf8.contains(0) else { throw CaptionFault("it has a NUL character") }
      return caption
    }
    // Editors end a file with a line feed, which nobody means.
    if text.hasSuffix("\r\n") || text.hasSuffix("\n") { return String(text.dropLast()) }
    return text
  }

  private static func find(
    _ input: ImageInput,
    in captions: CaptionManifest
  ) throws(CaptionFault) -> String? {
    // The image, its key, a path in an archive without the archive's name, then the file's name alone.
    let parts = input.source.split(separator: "/")
    let inner = parts.dropFirst().joined(separator: "/")
    for name in [input.source, input.key, inner, parts.last.map(String.init) ?? ""] {
      if let caption = try captions.caption(of: name) { return caption }
    }
    return nil
  }
}
