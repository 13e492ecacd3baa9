import Foundation
import TesseraCore
import TesseraImages

/// The captions of pictures as a table has them: each row belongs to one picture, or to none.
///
/// Rows are read one by one; what belongs to no picture is counted and not kept.
struct TableCaptions: Sendable {
  /// What is known of one picture's caption.
  private struct Slot {
    /// Where its text begins.
    var start: UInt64 = 0
    var length: UInt32 = 0
    /// The line of its row; 0 for none.
    var line: UInt32 = 0
  }

  /// Rows that belong to no picture.
  private(set) var unused = 0

  private let table: CaptionTable
  private let rules: CaptionRules
  private let pictures: [ImageInput]
  private var slots: [Slot]
  private var texts = TextStore()
  /// How many captions a picture had so far, where one is drawn.
  private var counts: [UInt32] = []
  /// A row that belongs to no picture.
  private var stray: String?

  private static let null = UInt32.max

  /// Reads a table for pictures.
  ///
  /// - Throws: `TesseraError` for a damaged table, for a row that may be of two pictures, for two rows of one where
  ///   the rules do not choose, and where no row is of any picture.
  init(_ table: CaptionTable, rules: CaptionRules, of pictures: [ImageInput]) throws {
    self.table = table
    self.rules = rules
    self.pictures = pictures
    slots = [Slot](repeating: Slot(), count: pictures.count)
    if case .random? = rules.choice { counts = [UInt32](repeating: 0, count: pictures.count) }
    var isStray: [Bool] = []
    let isFolderTable = try takeWhole(&isStray)
    if unused > 0, !isFolderTable, slots.contains(where: { $0.line == 0 }) {
      try takeEnds(isStray)
    }
    guard slots.contains(where: { $0.line > 0 }) else { throw noneMatched(isFolderTable) }
  }

  /// The caption of a picture; nil where no row is of it.
  ///
  /// - Throws: ``CaptionFault`` where there is a row, and no caption in it.
  func caption(at index: Int) throws(CaptionFault) -> String? {
    let slot = slots[index]
    guard slot.line > 0 else { return nil }
    guard slot.length != Self.null else {
      let place = table.place(Int(slot.line))
      throw CaptionFault("null in \(place); write a text, or leave the \(table.unit) out")
    }
    return texts.text(at: slot.start, length: Int(slot.length))
  }

  /// Gives rows to the pictures whose whole path or key they name, and notes which rows are of none.
  ///
  /// - Returns: Whether the table is imagefolder's, whose paths lead from its own folder and nowhere else.
  private mutating func takeWhole(_ isStray: inout [Bool]) throws -> Bool {
    let names = try PictureNames(of: pictures, in: [.place, .path, .key])
    let file = URL(filePath: WorkingFolder.absolute(table.path))
    let folder = PlainPath.real(file.deletingLastPathComponent().path)
    let isFolderTable =
      file.deletingPathExtension().lastPathComponent.lowercased() == "metadata"
      && names.isInsideInput(folder)
    let folders = isFolderTable ? [folder] : [folder, PlainPath.real(WorkingFolder.path)]
    let table = table
    var last: (image: String, found: [Int])?
    try table.forEach { row in
      // Rows of one image mostly follow each other.
      if last?.image != row.image {
        let found = Self.forms(of: row.image).lazy.map { image in
          names.pictures(called: image, from: folders, isPlaceAlone: isFolderTable)
        }.first { !$0.isEmpty }
        last = (row.image, found ?? [])
      }
      isStray.append(try !take(row, by: last?.found ?? [], of: names))
    }
    return isFolderTable
  }

  /// Gives rows that are left to the one picture whose path ends as they say, where it has none yet.
  private mutating func takeEnds(_ isStray: [Bool]) throws {
    let names = try PictureNames(of: pictures, in: [.end])
    let bare = pictures.indices.filter { slots[$0].line == 0 }.map { pictures[$0] }
    let bareNames = try PictureNames(of: bare, in: [.end])
    var number = 0
    unused = 0
    let table = table
    try table.forEach { row in
      defer { number += 1 }
      guard number < isStray.count, isStray[number] else { return }
      let image = Self.forms(of: row.image).lazy.map(PlainPath.plain).first {
        !bareNames.pictures(called: $0, in: .end).isEmpty
      }
      let found = image.map { names.pictures(called: $0, in: .end) } ?? []
      _ = try take(row, by: found, of: names)
    }
  }

  /// The path of a row, and as Windows writes it.
  private static func forms(of image: String) -> [String] {
    image.utf8.contains(UInt8(ascii: "\\")) ? [image, image.replacing("\\", with: "/")] : [image]
  }

  /// Gives a row to the pictures that it names, which are one file; false where it names none.
  private mutating func take(
    _ row: CaptionTable.Row,
    by found: [Int],
    of names: PictureNames
  ) throws -> Bool {
    guard let first = found.first else {
      unused += 1
      stray = stray ?? row.image
      return false
    }
    if names.isSeveral(found) {
      let second = found.first { names.isSeveral([first, $0]) } ?? first
      throw TesseraError.mismatch(
        "'\(row.image)' may be \(name(of: first)) or \(name(of: second)): write the path from the table's folder, "
          + "or name one input at a time",
        file: table.place(row.line)
      )
    }
    for index in Set(found) { try give(row, to: index) }
    return true
  }

  /// What a picture is called where two are told apart.
  private func name(of index: Int) -> String {
    switch pictures[index].location {
    case .file(let root): root + "/" + pictures[index].source
    case .path(let path): path
    case .member, .refused: pictures[index].source
    }
  }

  private mutating func give(_ row: CaptionTable.Row, to index: Int) throws {
    let line = UInt32(clamping: row.line)
    guard slots[index].line > 0 else {
      slots[index].line = line
      slots[index].length = Self.null
      return try choose(row.captions ?? [], for: index)
    }
    guard rules.choice != nil else { throw try second(row, to: index) }
    try choose(row.captions ?? [], for: index)
  }

  /// Lets the choice decide between what a picture has and more.
  private mutating func choose(_ captions: [String], for index: Int) throws {
    for caption in captions {
      let slot = slots[index]
      guard slot.length != Self.null else {
        set(caption, at: index)
        if !counts.isEmpty { counts[index] = 1 }
        continue
      }
      switch rules.choice {
      case nil, .first?: return
      case .all?:
        let text = texts.text(at: slot.start, length: Int(slot.length)) + "\n" + caption
        guard text.utf8.count <= CaptionSource.longest else {
          let reason = "captions of more than \(CaptionSource.longest) bytes together"
          throw TesseraError.malformed(reason, file: pictures[index].source)
        }
        set(text, at: index)
      case .random(let seed)?:
        counts[index] += 1
        if CaptionDraw(seed: seed, key: pictures[index].key).takes(counts[index]) {
          set(caption, at: index)
        }
      }
    }
  }

  private mutating func set(_ caption: String, at index: Int) {
    slots[index].start = texts.add(caption)
    slots[index].length = UInt32(caption.utf8.count)
  }

  /// Two rows of one picture, which differ in what they call it or do not.
  private func second(_ row: CaptionTable.Row, to index: Int) throws -> TesseraError {
    let line = Int(slots[index].line)
    var first = row.image
    try table.forEach { if $0.line == line { first = $0.image } }
    let isSame = PlainPath.plain(first) == PlainPath.plain(row.image)
    let names =
      isSame ? "'\(first)'" : "\(name(of: index)), by '\(first)' there and '\(row.image)' here,"
    return TesseraError(
      isSame ? .malformedInput : .mismatch,
      "\(names) has a caption already, in \(table.unit) \(line): remove one, or choose by --captions-per-image",
      file: table.place(row.line)
    )
  }

  private func noneMatched(_ isFolderTable: Bool) -> TesseraError {
    let example =
      pictures.first.map { ", a picture is \(name(of: 0)) with the key '\($0.key)'" } ?? ""
    let row = stray.map { "a \(table.unit) has '\($0.prefix(200))'" } ?? "none has an image"
    return TesseraError.mismatch(
      "not one of \(unused) \(table.unit)s is of one of \(pictures.count) images: \(row)\(example); write paths "
        + (isFolderTable
          ? "from the folder of metadata.*" : "from the table's folder or the input"),
      file: table.path
    )
  }
}

/// Texts one behind the other, in blocks so that none is moved when more come.
private struct TextStore {
  private var blocks: [[UInt8]] = []

  private static let blockSize = 1 << 20

  /// Appends a text of at most a block; returns where it begins.
  mutating func add(_ text: String) -> UInt64 {
    let count = text.utf8.count
    if blocks.isEmpty || blocks[blocks.count - 1].count + count > Self.blockSize {
      blocks.append([])
      blocks[blocks.count - 1].reserveCapacity(Self.blockSize)
    }
    let last = blocks.count - 1
    let start = last * Self.blockSize + blocks[last].count
    blocks[last].append(contentsOf: text.utf8)
    return UInt64(start)
  }

  func text(at start: UInt64, length: Int) -> String {
    let (block, offset) = Int(start).quotientAndRemainder(dividingBy: Self.blockSize)
    guard length > 0 else { return "" }
    return String(decoding: blocks[block][offset..<offset + length], as: UTF8.self)
  }
}

/// Draws one of several captions of a picture with equal chance, without knowing how many there are.
struct CaptionDraw {
  private let random: CounterRandom

  init(seed: UInt64, key: String) {
    // The key is the sample's own in every run, whichever other images there are.
    let sample = FileDigest.sha256(of: Array(key.utf8)).prefix(16)
    random = CounterRandom(seed: seed, sample: UInt64(sample, radix: 16) ?? 0)
  }

  /// Whether the caption with a number, from 1, takes the place of those before it.
  func takes(_ number: UInt32) -> Bool {
    (UInt64(random.words(block: 0, position: number)[0]) * UInt64(number)) >> 32 == 0
  }

  /// One of some captions.
  func choice(of captions: [String]) -> String? {
    var chosen: String?
    for (index, caption) in captions.enumerated() where takes(UInt32(clamping: index + 1)) {
      chosen = caption
    }
    return chosen ?? captions.first
  }
}
