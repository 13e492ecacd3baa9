import TesseraCore

/// Every image that a list of folders, files, lists and archives names, in a fixed order.
///
/// The order is that of the arguments; inside a folder that of the paths' bytes. Names, links and tar headers
/// are read, and the first bytes of files whose names are no picture's. While it is made the list takes about
/// 300 bytes per image.
public struct ImageInputs: Sendable {
  /// The images.
  public let inputs: [ImageInput]
  /// What was met beside them: inputs, captions and what was passed over are all files and links.
  public let account: InputAccount
  /// What might surprise, a sentence each.
  public let notes: [String]

  /// Finds the images.
  ///
  /// - Parameters:
  ///   - paths: Each a folder (searched through, for files with a picture's ending in any case, or with a
  ///     picture's first bytes), an image file of any name, a list (.txt: one path per line, relative to the
  ///     list's own folder) or an uncompressed archive (.tar: members as the files of a folder). An archive
  ///     that is damaged is one refused input among others.
  ///   - selection: Which of the files are taken.
  /// - Returns: The images with unique keys. Their sources are relative to the folder, list or archive that
  ///   named them; where files of two arguments would have the same one, all are relative to the deepest
  ///   folder that holds them all.
  /// - Throws: `TesseraError` where a path cannot be read, where a list is damaged, or where nothing at all
  ///   was found, or nothing but damaged archives.
  public static func collect(
    _ paths: [String],
    _ selection: ImageSelection = ImageSelection()
  ) throws -> ImageInputs {
    var found = FoundImages(selection)
    for path in paths {
      try found.add(path)
    }
    guard !found.images.isEmpty else {
      let passed = found.account.text.map { "; \($0)" } ?? ""
      throw TesseraError.malformed(
        "no image found; name a folder of \(ImageFormat.endings) files, a .txt or a .tar\(passed)",
        file: paths.joined(separator: " ")
      )
    }
    try found.checkArchives()
    if paths.count > 1 { found.makeSourcesUnique() }
    let keys = SampleKeys.unique(for: found.images.map(\.named))
    return ImageInputs(
      inputs: zip(keys, found.images).map { key, image in
        ImageInput(key: key, source: image.source, location: image.location)
      },
      account: found.account,
      notes: found.notes
    )
  }

  private static let endings = ImageFormat.allCases.flatMap(\.entry.endings).map { Array($0.utf8) }

  /// Whether a name is that of an image: it ends as one of ``ImageFormat``, in any case.
  static func isImageName(_ name: [UInt8]) -> Bool {
    guard let dot = name.lastIndex(of: UInt8(ascii: ".")) else { return false }
    let ending = name[(dot + 1)...].lazy.map { byte in
      (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
    return endings.contains { ending.elementsEqual($0) }
  }
}
