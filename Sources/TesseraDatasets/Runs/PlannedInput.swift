import Foundation
package import TesseraCore
package import TesseraImages

/// One image of a plan.
package struct PlannedInput: Codable, Hashable, Sendable {
  /// What it is called and where this machine finds it; no output depends on the place.
  package let image: ImageInput
  /// The size of the encoded image in bytes, or nil where it could not be looked at.
  package let size: Int?
  /// What is said of the image; empty where nothing is, nil where captions are not asked for.
  package let caption: String?

  /// Reads an input of a plan, which may be damaged: its key can be a file's name, and its place is one.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    image = try container.decode(ImageInput.self, forKey: .image)
    size = try container.decodeIfPresent(Int.self, forKey: .size)
    caption = try container.decodeIfPresent(String.self, forKey: .caption)
    guard let fault = Self.fault(of: image) else { return }
    throw DecodingError.dataCorruptedError(
      forKey: .image,
      in: container,
      debugDescription: "'\(image.key.prefix(200))' \(fault)"
    )
  }

  private static func fault(of image: ImageInput) -> String? {
    if let fault = SafePath.fault(ofKey: image.key) { return fault }
    switch image.location {
    case .file: return SafePath.fault(ofPicture: image.source)
    case .member(_, let offset, let size):
      let isInRange = offset >= 0 && size >= 0 && size <= Int.max - offset
      return isInRange ? nil : "is no part of an archive"
    case .path, .refused: return nil
    }
  }

  /// Why the size is not known: the place cannot be looked at now.
  ///
  /// No part of the plan.
  package var problem: TesseraError? {
    guard size == nil else { return nil }
    let path: String
    switch image.location {
    case .file(let root): path = root + "/" + image.source
    case .path(let file): path = file
    case .member, .refused: return nil
    }
    return FileTree.size(of: path) == nil
      ? TesseraError.system("look at", path, errno == 0 ? ENOENT : errno) : nil
  }

  /// Looks at an image without opening it, and makes its place independent of the current folder.
  package init(_ image: ImageInput, caption: String? = nil) {
    self.caption = caption
    let location: ImageInput.Location =
      switch image.location {
      case .file(let root): .file(root: WorkingFolder.absolute(root))
      case .path(let path): .path(WorkingFolder.absolute(path))
      case .member(let archive, let offset, let size):
        .member(archive: WorkingFolder.absolute(archive), offset: offset, size: size)
      case .refused: image.location
      }
    self.image = ImageInput(key: image.key, source: image.source, location: location)
    size =
      switch location {
      case .file(let root): FileTree.size(of: root + "/" + image.source)
      case .path(let path): FileTree.size(of: path)
      case .member(_, _, let size): size
      case .refused: nil
      }
  }
}

/// The folder from which relative paths lead.
enum WorkingFolder {
  /// Its path.
  static var path: String { FileManager.default.currentDirectoryPath }

  /// A path that does not depend on it.
  static func absolute(_ path: String) -> String {
    path.hasPrefix("/") ? path : self.path + "/" + path
  }
}
