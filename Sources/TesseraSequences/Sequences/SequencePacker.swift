package import TesseraCore

/// How documents share rows.
public enum SequencePacking: String, CaseIterable, Codable, Sendable {
  /// One row per document.
  case none
  /// Documents behind each other, cut at every row's end, wherever that is.
  case concatenate
  /// Whole documents, as many as fit, in the row that they fill best.
  case bestFit = "best-fit"
  /// One row per document, filled up to the length.
  case fixed
}

/// Puts documents into rows, in an order that depends on them alone.
package struct SequencePacker {
  /// A finished row: the keys of its documents, and their tokens.
  package struct Row: Sendable {
    /// The documents whose tokens are in the row.
    package let keys: [String]
    /// The tokens.
    package let sequence: TokenSequence
  }

  private let packing: SequencePacking
  private let length: Int
  private let pad: Int32?
  private var open: [(keys: [String], sequence: TokenSequence)] = []

  /// How many rows wait for a document that fills them: it bounds the memory.
  private static let mostOpen = 64

  /// Creates a packer.
  ///
  /// - Parameters:
  ///   - packing: How documents share rows.
  ///   - length: The most tokens of a row; nil only where documents share none.
  ///   - pad: What fills rows of a fixed length.
  /// - Throws: `TesseraError` where length or pad are missing.
  package init(
    _ packing: SequencePacking,
    length: Int?,
    pad: Int32?
  ) throws(TesseraError) {
    guard packing == .none || length != nil else {
      throw TesseraError.mismatch("--pack \(packing.rawValue) needs a --length")
    }
    if packing == .fixed, pad == nil {
      throw TesseraError.mismatch(
        "--pack fixed needs a pad token, and the layout has none in this tokenizer"
      )
    }
    self.packing = packing
    self.length = length ?? .max
    self.pad = pad
  }

  /// Adds a document; hands over the rows that are full.
  ///
  /// - Throws: `TesseraError` for a document that is longer than a row and may not be cut, and what
  ///   `emit` throws.
  package mutating func add(
    _ document: TokenSequence,
    key: String,
    emit: (Row) throws -> Void
  ) throws {
    if packing != .concatenate, document.ids.count > length {
      throw TesseraError(
        .mismatch,
        "\(document.ids.count) tokens are more than the --length of \(length), and a document is "
          + "not cut",
        detail: .document
      )
    }
    switch packing {
    case .none: try emit(Row(keys: [key], sequence: document))
    case .fixed:
      var row = document
      if let pad { row.pad(to: length, with: pad) }
      try emit(Row(keys: [key], sequence: row))
    case .concatenate, .bestFit:
      // Behind another document, its first token would be learned as that one's continuation.
      var document = document
      document.ignoreFirst()
      if packing == .bestFit {
        try place(document, key: key, emit: emit)
      } else {
        try concatenate(document, key: key, emit: emit)
      }
    }
  }

  private mutating func concatenate(
    _ document: TokenSequence,
    key: String,
    emit: (Row) throws -> Void
  ) throws {
    if open.isEmpty { open.append(([], TokenSequence())) }
    open[0].keys.append(key)
    open[0].sequence.append(document)
    while open[0].sequence.ids.count >= length {
      let row = open[0].sequence.split(first: length)
      try emit(Row(keys: open[0].keys, sequence: row))
      open[0].keys = open[0].sequence.ids.isEmpty ? [] : [key]
    }
  }

  private mutating func place(
    _ document: TokenSequence,
    key: String,
    emit: (Row) throws -> Void
  ) throws {
    // The fullest row that has room; the first of equal ones.
    var best: Int?
    for (index, row) in open.enumerated()
    where row.sequence.ids.count + document.ids.count <= length {
      if best.map({ open[$0].sequence.ids.count < row.sequence.ids.count }) ?? true { best = index }
    }
    let index: Int
    if let best {
      index = best
      open[index].keys.append(key)
      open[index].sequence.append(document)
    } else {
      if open.count == Self.mostOpen {
        let fullest = open.indices.max { left, right in
          let counts = (open[left].sequence.ids.count, open[right].sequence.ids.count)
          return counts.0 == counts.1 ? left > right : counts.0 < counts.1
        }
        if let fullest {
          let row = open.remove(at: fullest)
          try emit(Row(keys: row.keys, sequence: row.sequence))
        }
      }
      open.append(([key], document))
      index = open.count - 1
    }
    if open[index].sequence.ids.count == length {
      let row = open.remove(at: index)
      try emit(Row(keys: row.keys, sequence: row.sequence))
    }
  }

  /// Hands over the rows that are left.
  ///
  /// - Throws: What `emit` throws.
  package mutating func finish(emit: (Row) throws -> Void) throws {
    for row in open where !row.sequence.ids.isEmpty {
      try emit(Row(keys: row.keys, sequence: row.sequence))
    }
    open = []
  }
}
