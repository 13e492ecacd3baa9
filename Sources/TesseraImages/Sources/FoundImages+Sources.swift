import TesseraCore

extension FoundImages {
  /// Has all sources begin at the deepest folder that holds all of the files, where two files of different
  /// places have the same one.
  ///
  /// Then one folder holds the originals of all samples.
  mutating func makeSourcesUnique() {
    guard hasCollision else { return }
    let common = commonFolder
    for index in images.indices {
      let place = place(of: images[index])
      images[index].source = String(
        decoding: place.utf8.dropFirst(common.utf8.count),
        as: UTF8.self
      )
      if case .file = images[index].location {
        images[index].location = .file(root: common == "/" ? "/" : String(common.dropLast()))
      }
    }
  }

  /// The absolute path of an image; in an archive that of the archive, and the member's name.
  private func place(of image: FoundImage) -> String { folders[image.folder] + image.source }

  /// Whether images of different places have the same source: compared by hashes first, which take 16 bytes an
  /// image.
  private var hasCollision: Bool {
    let hashes = images.indices.map { index in (Self.hash(images[index].source), index) }
      .sorted { $0 < $1 }
    return zip(hashes, hashes.dropFirst()).contains { first, second in
      let (one, other) = (images[first.1], images[second.1])
      return first.0 == second.0 && one.source == other.source && place(of: one) != place(of: other)
    }
  }

  /// FNV-1a.
  private static func hash(_ text: String) -> UInt64 {
    text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  /// The deepest folder that holds all files, ending in a slash.
  private var commonFolder: String {
    var common: ArraySlice<UInt8>?
    func narrow(_ folder: some Sequence<UInt8>) {
      guard let known = common else { return common = Array(folder)[...] }
      let equal = zip(known, folder).prefix { $0 == $1 }.count
      let shared = known.prefix(equal)
      common = shared[...(shared.lastIndex(of: UInt8(ascii: "/")) ?? shared.startIndex)]
    }
    for image in images {
      // Those that a list names outside of its own folder may lie anywhere.
      if folders[image.folder] == "/" { narrow(place(of: image).utf8) }
    }
    for number in Set(images.map(\.folder)).sorted() where folders[number] != "/" {
      narrow(folders[number].utf8)
    }
    return String(
      decoding: common.map { $0[...($0.lastIndex(of: UInt8(ascii: "/")) ?? 0)] } ?? [0x2F],
      as: UTF8.self
    )
  }
}
