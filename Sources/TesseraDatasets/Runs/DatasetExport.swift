import TesseraCore
import TesseraImages

/// A dataset turned into another layout.
public struct DatasetExport {
  /// The layout.
  public let format: DatasetFormat
  /// What was chosen about it.
  public let settings: DatasetExportSettings
  /// What is added to the codes; nil leaves them as they are.
  public let vocabularyOffset: Int?
  /// What makes sequences of the samples; nil leaves them as they are.
  public let sequence: SequenceStage?

  /// Describes an export.
  public init(
    format: DatasetFormat,
    settings: DatasetExportSettings,
    vocabularyOffset: Int? = nil,
    sequence: SequenceStage? = nil
  ) {
    self.format = format
    var settings = settings
    settings.sequence = sequence?.settings
    (self.settings, self.vocabularyOffset, self.sequence) = (settings, vocabularyOffset, sequence)
  }

  /// Exports a dataset into a new or empty folder.
  ///
  /// - Parameters:
  ///   - dataset: The dataset.
  ///   - folder: The output folder, which another process may have begun and not finished.
  ///   - progress: Hears of each sample.
  /// - Returns: What the new manifest says.
  /// - Throws: `TesseraError`.
  public func run(
    _ dataset: TokenDataset,
    into folder: String,
    progress: (Int) -> Void = { _ in }
  ) throws -> DatasetManifest {
    let publication = try DatasetPublication(folder, plan: plan(of: dataset.manifest))
    do {
      return try run(dataset, publication: publication, progress: progress)
    } catch {
      publication.abandon()
      throw error
    }
  }

  func run(
    _ dataset: TokenDataset,
    publication: DatasetPublication,
    progress: (Int) -> Void = { _ in }
  ) throws -> DatasetManifest {
    let rejected = RejectedDocuments()
    let all = try sequencedRows(of: dataset, rejected)
    let (rows, omitted) = try rows(of: all, dataset.manifest)
    try checkNames(of: rows.table)
    let stage = try publication.begin()
    guard try write(rows, into: stage, progress: progress) > 0 else {
      throw nothingWritten(of: dataset, rejected)
    }
    try copyRejections(of: dataset, and: rejected.rejections, into: stage)
    let manifest = try manifest(
      of: dataset.manifest,
      rejected: dataset.manifest.rejected + rejected.rejections.count,
      stage,
      DatasetLayout(
        table: rows.table,
        renamed: settings.renames,
        omitted: omitted,
        files: stage.files
      )
    )
    try publication.publish(manifest, of: stage)
    return manifest
  }

  /// The samples, or the sequences that are made of them.
  private func sequencedRows(
    of dataset: TokenDataset,
    _ rejected: RejectedDocuments
  ) throws -> any DatasetRows {
    let all = try dataset.rows()
    guard let sequence else { return all }
    guard vocabularyOffset == nil else {
      throw refusal(
        "--vocabulary-offset moves codes, and a sequence has ids: its layout says where"
      )
    }
    return try sequence.rows(
      of: all,
      dataset.manifest,
      seed: settings.shuffle,
      rejected: rejected
    )
  }

  /// Writes every row; the number of them.
  private func write(
    _ rows: any DatasetRows,
    into stage: DatasetStage,
    progress: (Int) -> Void
  ) throws -> Int {
    var writer = try format.writer(for: rows.table, settings: settings, into: stage)
    var samples = 0
    try ReadAheadRows(rows).forEach { row in
      try check(row, rows.table)
      try writer.append(row)
      samples += 1
      progress(samples)
    }
    if samples > 0 { try writer.finish() }
    return samples
  }

  private func nothingWritten(
    of dataset: TokenDataset,
    _ rejected: RejectedDocuments
  ) -> TesseraError {
    guard let first = rejected.rejections.first else {
      return TesseraError.malformed("it has no samples; nothing to export", file: dataset.path)
    }
    return TesseraError.malformed(
      "not one document became a sequence; the first is \(first.source): \(first.reason)",
      file: dataset.path
    )
  }

  private func copyRejections(
    of dataset: TokenDataset,
    and documents: [Rejection],
    into stage: DatasetStage
  ) throws {
    var list = try AtomicFile(
      inDataset: "\(stage.folder)/\(DatasetManifest.rejectedFileName)",
      isShared: false
    )
    var rejected = 0
    try RejectionList(folder: dataset.path).forEach { rejection in
      try list.write(try CanonicalJSON.line(rejection))
      rejected += 1
    }
    guard rejected == dataset.manifest.rejected else {
      throw TesseraError.malformed(
        "\(rejected) lines where the manifest says \(dataset.manifest.rejected)",
        file: "\(dataset.path)/\(DatasetManifest.rejectedFileName)"
      )
    }
    for rejection in documents { try list.write(try CanonicalJSON.line(rejection)) }
    try list.commit()
  }

  /// The steps between reader and writer; the names of the columns that no longer are there.
  private func rows(
    of all: any DatasetRows,
    _ manifest: DatasetManifest
  ) throws -> (any DatasetRows, [String]) {
    var rows = all
    let names = all.table.columns.map(\.name)
    if let wanted = settings.columns {
      if let unknown = wanted.first(where: { !names.contains($0) }) {
        throw refusal("no column '\(unknown)'; there are \(names.joined(separator: ", "))")
      }
      rows = SelectedRows(rows, keeping: Set(wanted))
    }
    if let offset = vocabularyOffset, offset != manifest.settings.vocabularyOffset {
      guard let moved = OffsetRows(rows, from: manifest.settings.vocabularyOffset, to: offset)
      else { throw refusal("--vocabulary-offset moves 'codes', and there is no such column") }
      rows = moved
    }
    // Documents are put in order before they are packed.
    if let seed = settings.shuffle, sequence == nil { rows = ShuffledRows(rows, seed: seed) }
    let omitted = Set(format.omitted(from: rows.table))
    if !omitted.isEmpty {
      let kept = Set(rows.table.columns.map(\.name)).subtracting(omitted)
      rows = SelectedRows(rows, keeping: kept)
    }
    let kept = Set(rows.table.columns.map(\.name))
    return (rows, names.filter { !kept.contains($0) })
  }

  private func checkNames(of table: DatasetTable) throws {
    let names = table.columns.map(\.name)
    if let unknown = settings.renames.keys.sorted().first(where: { !names.contains($0) }) {
      throw refusal("no column '\(unknown)' to rename; there are \(names.joined(separator: ", "))")
    }
    // These are fields of the JSON that describes an image.
    if let name = settings.renames.values.first(where: ["size", "orientation"].contains) {
      throw refusal("--rename: the name '\(name)' is taken; choose another")
    }
    let stored = names.map { settings.renames[$0] ?? $0 } + ["key"]
    if Set(stored).count < stored.count {
      throw refusal("two columns of one name after --rename: \(stored.joined(separator: ", "))")
    }
  }

  private func refusal(_ reason: String) -> TesseraError {
    TesseraError.mismatch(reason, place: format.rawValue)
  }

  private func check(_ row: DatasetRow, _ table: DatasetTable) throws {
    for (column, cell) in zip(table.columns, row.cells) where !column.fits(cell) {
      throw TesseraError.malformed(
        "\(cell.shape) where every sample has \(column.shapeText)",
        file: "\(row.key): \(column.name)"
      )
    }
  }

  private func manifest(
    of source: DatasetManifest,
    rejected: Int,
    _ stage: DatasetStage,
    _ layout: DatasetLayout
  ) throws -> DatasetManifest {
    DatasetManifest(
      settings: settings(of: source),
      plan: source.plan,
      rejected: rejected,
      account: source.account,
      shards: stage.shards,
      layout: layout,
      files: [try .rejections(in: stage.folder)]
    )
  }

  /// The digest of all that the new dataset follows from.
  private func plan(of source: DatasetManifest) throws -> String {
    let lines = try CanonicalJSON.line(source) + CanonicalJSON.line(settings(of: source))
    return FileDigest.sha256(of: lines)
  }

  /// The settings that the new manifest states.
  private func settings(of source: DatasetManifest) -> DatasetSettings {
    var settings = source.settings
    settings.format = format.rawValue
    settings.export = self.settings
    // Sequences in another layout are still those sequences.
    if sequence == nil { settings.export?.sequence = source.settings.export?.sequence }
    if let vocabularyOffset { settings.vocabularyOffset = vocabularyOffset }
    return settings
  }
}

extension DatasetExport {
  /// What an earlier run of this export wrote, or nil where none did.
  ///
  /// Removes what a run that was killed at its very end left hidden.
  ///
  /// - Parameters:
  ///   - dataset: The dataset.
  ///   - folder: The output folder.
  /// - Returns: The manifest; every file that it names is there, in the size that it states.
  /// - Throws: `TesseraError` where the folder holds another dataset, or one that lacks a file.
  public func finished(
    _ dataset: TokenDataset,
    in folder: String
  ) throws -> DatasetManifest? {
    let output = DatasetFolder(folder)
    guard try FileTree.exists(output.manifestPath),
      case .complete(let manifest) = try output.content()
    else { return nil }
    let expected = settings(of: dataset.manifest)
    guard manifest.plan == dataset.manifest.plan, manifest.settings == expected else {
      throw TesseraError.otherPlan(
        folder: output.path,
        difference: try manifest.settings.difference(to: expected) ?? "other inputs"
      )
    }
    try output.checkFiles()
    if try FileTree.exists(output.work) {
      try FolderOwner(of: output.path, verb: "export").finish()
    }
    return manifest
  }
}
