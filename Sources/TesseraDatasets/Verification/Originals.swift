import Synchronization
import TesseraCore
package import TesseraImages

/// The pictures that a dataset was made of, found by the sources of its samples.
///
/// One folder is looked into as it is, archives in it included; several inputs, a list or an archive are
/// searched as `tokenize` searched them, so that their sources are the same.
package final class Originals: Sendable {
  private let folder: String?
  private let known: [String: ImageInput.Location]
  private let archives = Mutex<[String: [String: TarMembers.Member]]>([:])

  /// Finds the originals.
  ///
  /// - Parameter paths: The folder that was tokenized, or all that was, in the same order.
  /// - Throws: `TesseraError` where there is nothing at such a path.
  package init(_ paths: [String]) throws {
    if paths.count == 1, FileTree.size(of: paths[0]) == nil {
      folder = paths[0]
      known = [:]
      return
    }
    folder = nil
    var selection = ImageSelection()
    // Whatever was left out is no sample.
    selection.hidden = true
    let found = try ImageInputs.collect(paths, selection)
    known = Dictionary(found.inputs.map { ($0.source, $0.location) }) { first, _ in first }
  }

  /// The original of a sample.
  ///
  /// - Parameters:
  ///   - key: The sample's key.
  ///   - source: What it states as its source; of anybody's making, so it stays in the folder.
  /// - Returns: The picture, where it is found.
  /// - Throws: `TesseraError` where the source is not among the originals, or leaves their folder.
  package func image(of key: String, source: String) throws -> ImageInput {
    if let location = known[source] {
      return ImageInput(key: key, source: source, location: location)
    }
    guard let folder else {
      throw TesseraError.malformed("its source '\(source)' is not among the originals", file: key)
    }
    let path = try SafePath.path(ofPicture: source, in: folder) { fault in
      TesseraError.malformed("its source \(fault)", file: key)
    }
    let location: ImageInput.Location
    if FileTree.size(of: path) == nil, let member = try member(source, in: folder) {
      location = member
    } else {
      location = .file(root: folder)
    }
    return ImageInput(key: key, source: source, location: location)
  }

  /// The member of an archive in the folder that a source names; nil where no part of it is a file.
  private func member(_ source: String, in folder: String) throws -> ImageInput.Location? {
    for slash in source.indices where source[slash] == "/" {
      let archive = "\(folder)/\(source[..<slash])"
      guard FileTree.size(of: archive) != nil else { continue }
      // A link may lead anywhere.
      _ = try SafePath.path(ofPicture: String(source[..<slash]), in: folder) { fault in
        TesseraError.malformed("its source \(fault)", file: source)
      }
      let name = String(source[source.index(after: slash)...])
      guard let member = try members(of: archive)[name], member.isRegular else { return nil }
      return .member(archive: archive, offset: member.offset, size: member.size)
    }
    return nil
  }

  /// The members of an archive by name, of several of one name the first.
  private func members(of archive: String) throws -> [String: TarMembers.Member] {
    if let known = archives.withLock({ $0[archive] }) { return known }
    let members = try TarMembers(path: archive).members
    let named = Dictionary(members.map { ($0.name, $0) }) { first, _ in first }
    archives.withLock { $0[archive] = named }
    return named
  }
}
