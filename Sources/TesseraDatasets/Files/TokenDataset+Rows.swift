import TesseraCore

extension TokenDataset {
  /// The layout that the manifest names.
  ///
  /// - Throws: `TesseraError` for a name of no layout.
  public func format() throws -> DatasetFormat {
    guard let format = DatasetFormat(rawValue: manifest.settings.format) else {
      throw TesseraError.malformed(
        "'\(manifest.settings.format)' is no layout that this version reads",
        file: "\(path)/\(DatasetManifest.fileName)"
      )
    }
    return format
  }

  /// The samples with all their columns, whatever the layout: as many as the manifest says, their keys
  /// checked.
  ///
  /// - Throws: `TesseraError` where the files are damaged.
  package func rows() throws -> any DatasetRows {
    CheckedRows(try format().entry.rows(self), samples: manifest.samples, place: path)
  }

  /// How the samples lie in the files, which every layout but `webdataset` has in its manifest.
  func layout() throws(TesseraError) -> DatasetLayout {
    guard let layout = manifest.layout else {
      throw TesseraError.malformed(
        "it lacks the layout of '\(manifest.settings.format)'",
        file: "\(path)/\(DatasetManifest.fileName)"
      )
    }
    return layout
  }
}

/// Rows whose keys can be names of files, each once, and that are as many as a manifest says: a file
/// that was cut between two of its samples looks whole.
struct CheckedRows: DatasetRows {
  var table: DatasetTable { source.table }
  private let source: any DatasetRows
  private let samples: Int
  private let place: String
  private let mostKeysInMemory: Int

  init(
    _ source: any DatasetRows,
    samples: Int,
    place: String,
    mostKeysInMemory: Int = 1 << 20
  ) {
    (self.source, self.samples, self.place) = (source, samples, place)
    self.mostKeysInMemory = mostKeysInMemory
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    var count = 0
    var ledger = KeyLedger(mostInMemory: mostKeysInMemory)
    try source.forEach { row in
      count += 1
      guard count <= samples else {
        let reason = "its files hold more samples than the \(samples) of the manifest"
        throw TesseraError.malformed(reason, file: place)
      }
      if let fault = SafePath.fault(ofKey: row.key) { throw refusal(row.key, count, fault) }
      guard try ledger.insert(row.key) else {
        throw refusal(row.key, count, "is that of a sample before it")
      }
      try body(row)
    }
    if let digest = try ledger.repeated() { try refuseLast(of: digest) }
    guard count == samples else {
      throw TesseraError.malformed(
        "its files hold \(count) samples where the manifest says \(samples)",
        file: place
      )
    }
  }

  private func refusal(_ key: String, _ number: Int, _ fault: String) -> TesseraError {
    TesseraError.malformed(
      "the key '\(key.prefix(80))' \(fault); keys are relative paths of printable ASCII "
        + "without dots, each once: make the dataset again",
      file: "\(place): sample \(number)"
    )
  }

  /// Reads on to where a key is met for the second time.
  private func refuseLast(of digest: KeyLedger.Digest) throws {
    var (number, met) = (0, 0)
    try source.forEach { row in
      number += 1
      guard KeyLedger.Digest(of: row.key) == digest else { return }
      met += 1
      if met == 2 { throw refusal(row.key, number, "is that of a sample before it") }
    }
  }
}
