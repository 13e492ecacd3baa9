import TesseraCore

/// The pictures of an uncompressed tar archive, and the account of its other files and links.
struct ArchiveWalk {
  /// One picture.
  struct Member {
    let name: String
    let location: ImageInput.Location
  }

  private(set) var members: [Member] = []
  private(set) var account = InputAccount()

  /// Lists the archive at `path`.
  ///
  /// - Throws: `TesseraError` where it is damaged or cannot be read.
  init(path: String, _ selection: ImageSelection) throws {
    var captions = CaptionNames(endings: selection.captionEndings, groups: true)
    let file = try FileRegion(path: path)
    for member in try TarMembers(path: path).members where member.isRegular || member.isLink {
      let name = Array(member.name.utf8)
      if let omission = selection.omission(ofWhole: member.name) {
        account.add(omission, name)
        continue
      }
      var isPicture = ImageInputs.isImageName(name)
      if !isPicture, member.isRegular {
        let count = min(member.size, ImageFormat.recognisedBytes)
        isPicture = ImageFormat.isPicture(try file.bytes(member.offset..<member.offset + count))
      }
      if isPicture {
        captions.addPicture(name)
        members.append(Member(name: member.name, location: Self.location(of: member, in: path)))
      } else if !member.isRegular {
        account.add(.link, name)
      } else if !captions.take(name) {
        account.add(.other, name)
      }
    }
    captions.settle(in: &account)
  }

  private static func location(of member: TarMembers.Member, in path: String) -> ImageInput.Location
  {
    member.isRegular
      ? .member(archive: path, offset: member.offset, size: member.size)
      : .refused(reason: "a link inside an archive: store the image itself")
  }
}
