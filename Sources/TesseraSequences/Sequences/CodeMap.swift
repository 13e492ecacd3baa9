import TesseraCore

/// Codes to ids.
struct CodeMap: Sendable {
  let isSeparate: Bool
  let greatest: Int32
  private let table: [Int32]?
  private let offset: Int32

  init(_ codes: SequenceLayout.Codes, count: Int, look: TokenLookup) throws(TesseraError) {
    var table: [Int32]?
    var offset: Int32 = 0
    var isSeparate = false
    switch codes {
    case .offset(let start):
      let (last, overflow) = start.addingReportingOverflow(max(0, count - 1))
      guard start >= 0, !overflow, Int32(exactly: last) != nil else {
        throw TesseraError.limit(
          "\(look.layout): an offset of \(start) and \(count) codes are beyond int32"
        )
      }
      offset = Int32(start)
      greatest = Int32(last)
    case .table(let ids):
      guard ids.count >= count else {
        throw TesseraError.mismatch(
          "\(look.layout): a table of \(ids.count) ids for a tokenizer of \(count) codes"
        )
      }
      table = try look.ids(ids.map { .id($0) })
      greatest = table?.max() ?? 0
    case .names(let prefix, let suffix, let letters):
      let found = try look.numberedTokens(prefix: prefix, suffix: suffix, letters: letters)
      table = try Self.table(found, "\(prefix)…\(suffix)", count, look.layout)
      greatest = table?.max() ?? 0
    case .separate(let placeholder):
      isSeparate = true
      offset = try look.id(placeholder)
      greatest = offset
    }
    (self.table, self.offset, self.isSeparate) = (table, offset, isSeparate)
  }

  private static func table(
    _ found: [Int: Int32],
    _ name: String,
    _ count: Int,
    _ layout: String
  ) throws(TesseraError) -> [Int32] {
    var table: [Int32] = []
    table.reserveCapacity(count)
    for code in 0..<count {
      guard let id = found[code] else {
        throw TesseraError.mismatch(
          "\(layout): the vocabulary has no token '\(name)' of code \(code); it has \(found.count) of the "
            + "\(count) codes"
        )
      }
      table.append(id)
    }
    return table
  }

  func id(of code: Int) -> Int32 {
    if isSeparate { return offset }
    return table?[code] ?? offset + Int32(code)
  }
}
