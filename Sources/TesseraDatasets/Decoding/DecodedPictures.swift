import TesseraCore
package import TesseraImages

/// The pictures of `decode`.
package struct DecodedPictures {
  private let folder: PictureFolder
  private var isSheetNameTaken = false

  package init(_ folder: PictureFolder) { self.folder = folder }

  /// The name of the contact sheet; an image may have been called so.
  private static let sheetName = "contact-sheet"

  /// Writes one picture as PNG; keys hold slashes where the images lay in folders.
  package mutating func write(_ image: RGBImage, named name: String) throws {
    if name == Self.sheetName { isSheetNameTaken = true }
    try folder.write(PNGFile.encode(image), to: "\(name).png")
  }

  /// Writes the sheet, where there is one, and ends the run.
  package consuming func finish(with contacts: ContactSheet) throws {
    if !contacts.isEmpty {
      let name = isSheetNameTaken ? Self.sheetName + "_" : Self.sheetName
      try write(contacts.image, named: name)
    }
    try folder.finish()
  }
}
