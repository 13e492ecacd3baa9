import TesseraCore

/// The folders that two trainers of image models read: LlamaGen's `imagenet256_codes/0.npy` with
/// labels beside it, and 4M's `tok_rgb/<key>.npy` with the crops beside it.
struct ImageFolderWriter: StoredWriter {
  let output: DatasetOutput
  private var format: DatasetFormat { stored.format }
  private var list: SampleList
  private var folders: Set<String> = []
  /// The number of codes that every sample has, and the width of the pictures.
  private var first: (codes: Int, size: Int)?
  private var classes: [String: Int32] = [:]
  private var labels: StagedFile?

  private static let rememberedFolders = 1 << 14

  init(_ output: DatasetOutput) throws {
    self.output = output
    let (stored, stage) = (output.stored, output.stage)
    guard let layout = ImageFolderLayout.layout(of: stored.table) else {
      throw stored.refusal("the dataset has no codes")
    }
    guard stored.table.index(of: "crop") != nil, stored.table.index(of: "source") != nil else {
      throw stored.refusal("it needs the columns source and crop, which images have")
    }
    if stored.format == .fourM, stored.table.vocabularySize > 1 << 15 {
      throw TesseraError.limit(
        "a vocabulary of \(stored.table.vocabularySize) does not fit its int16",
        place: stored.format.rawValue
      )
    }
    if stored.format == .fourM, Self.views(of: stored.table.columns[layout.token]) != 1 {
      throw stored.refusal("it keeps a crop box of each view: tokenize without --augment")
    }
    list = try SampleList(layout, into: stage)
    if format == .llamagen { labels = try stage.spool("labels") }
  }

  /// The views of each image: the first extent of codes [views, tokens]; that of a grid is open.
  private static func views(of column: DatasetColumn) -> Int {
    column.shape.count == 2 ? column.shape[0] ?? 1 : 1
  }

  mutating func append(_ row: DatasetRow) throws {
    let column = stored.columns[list.layout.token]
    let count = stored.tokens(of: row)
    let crop = stored.table.index(of: "crop").map { row.cells[$0].elements(as: Int32.self) } ?? []
    guard count > 0, crop.count == 4 else {
      throw TesseraError.mismatch(
        "no codes or no crop box",
        place: "\(format.rawValue): \(row.key)"
      )
    }
    let type: ElementType = format == .fourM ? .int16 : .int64
    let source = column.column.type.elementType ?? .uint8
    let codes = try stored.convert(
      row.cells[column.index].bytes,
      source,
      type,
      row.key,
      column.name
    )
    if stored.format == .fourM {
      try writeFourM(row.key, codes, count, crop.map(Int64.init))
    } else {
      try writeLlamaGen(row, codes, count, size: Int(crop[2]) - Int(crop[0]))
    }
    try list.append(row)
  }

  /// Codes int16 [1, codes]; the crop as top, left, height, width, flip.
  private mutating func writeFourM(
    _ key: String,
    _ codes: [UInt8],
    _ count: Int,
    _ crop: [Int64]
  ) throws {
    let settings = [crop[1], crop[0], crop[3] - crop[1], crop[2] - crop[0], 0]
    for (folder, tensor) in [
      (
        ImageFolderLayout.codesFolder, Tensor(elementType: .int16, shape: [1, count], bytes: codes)
      ),
      (ImageFolderLayout.cropsFolder, Tensor(shape: [1, 5], elements: settings)),
    ] {
      let path = "\(folder)/\(key).npy"
      try makeFolder(of: path)
      try stage.writeListed(NPYFile.encode(tensor), to: path)
    }
  }

  /// Codes int64 [1, views, codes], as LlamaGen's own extraction writes them.
  private mutating func writeLlamaGen(
    _ row: DatasetRow,
    _ codes: [UInt8],
    _ count: Int,
    size: Int
  ) throws {
    let expected = first ?? (count, size)
    first = expected
    guard expected == (count, size) else {
      throw TesseraError.mismatch(
        "\(count) codes of \(size) pixels where the first sample has \(expected.codes) of "
          + "\(expected.size); tokenize with one --crop",
        place: "\(format.rawValue): \(row.key)"
      )
    }
    let path = "\(ImageFolderLayout.folder("codes", size: size))/\(list.samples).npy"
    try makeFolder(of: path)
    let views = max(1, Self.views(of: stored.columns[list.layout.token].column))
    let tensor = Tensor(elementType: .int64, shape: [1, views, count / views], bytes: codes)
    try stage.writeListed(NPYFile.encode(tensor), to: path)
    // The class is the folder, as torchvision's ImageFolder has it.
    let source = stored.table.index(of: "source").map { row.cells[$0].text } ?? ""
    let parts = source.split(separator: "/")
    let name = parts.count > 1 ? String(parts[0]) : ""
    let number = classes[name] ?? Int32(classes.count)
    classes[name] = number
    try labels?.write(number)
  }

  private mutating func makeFolder(of path: String) throws {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    guard !folders.contains(folder) else { return }
    try stage.makeFolder(folder)
    if folders.count == Self.rememberedFolders { folders.removeAll() }
    folders.insert(folder)
  }

  mutating func finish() throws {
    if let labels, let first { try writeLabels(labels, size: first.size) }
    try stage.finishList()
    stage.add(try list.finish(), samples: list.samples, tokens: list.tokens)
  }

  /// Labels int64 [1]: the place of the class among all names in order.
  private mutating func writeLabels(_ labels: StagedFile, size: Int) throws {
    let names = classes.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    var places = [Int64](repeating: 0, count: names.count)
    for (place, name) in names.enumerated() {
      if let number = classes[name] { places[Int(number)] = Int64(place) }
    }
    let folder = ImageFolderLayout.folder("labels", size: size)
    try stage.makeFolder(folder)
    var index = 0
    try labels.forEach(Int32.self) { number in
      let tensor = Tensor(shape: [1], elements: [places[Int(number)]])
      try stage.writeListed(NPYFile.encode(tensor), to: "\(folder)/\(index).npy")
      index += 1
    }
    try labels.discard()
    let list = names.map { $0 + "\n" }.joined()
    try stage.write(Array(list.utf8), to: ImageFolderLayout.classesFile)
  }
}
