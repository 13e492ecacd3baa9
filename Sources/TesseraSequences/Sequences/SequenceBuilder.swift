package import TesseraCore

/// A part of a document.
package enum DocumentPart: Sendable {
  /// A text.
  case text(String)
  /// The codes of an image, row by row, without any offset.
  case image(codes: [Int], height: Int, width: Int)
}

/// Turns documents into sequences under one layout: a layout whose names were looked up.
package struct SequenceBuilder: Sendable {
  /// Every id is below this.
  package let vocabularySize: Int
  /// What fills rows of a fixed length.
  package let pad: Int32?
  /// The layout.
  package let layout: SequenceLayout

  private let scheme: PositionScheme?
  private let codeCount: Int
  private var encoder: TextEncoder?
  private let map: CodeMap
  private let beginOfDocument, endOfDocument, beginOfImage, beginOfCodes, endOfFrame,
    endOfImage: [Int32]
  private let endOfLine: Int32?
  private let look: TokenLookup

  /// Looks up a layout's names.
  ///
  /// - Parameters:
  ///   - layout: The layout.
  ///   - tokenizer: The text tokenizer; nil where only images are written.
  ///   - codeCount: How many codes the image tokenizer has.
  ///   - scheme: The scheme of the position ids, or nil for none.
  ///   - vocabulary: Ids of a model's configuration, which count before the text tokenizer's.
  /// - Throws: `TesseraError` for a name that is not there, or ids beyond int32.
  package init(
    _ layout: SequenceLayout,
    tokenizer: TextTokenizer?,
    codeCount: Int,
    scheme: PositionScheme?,
    vocabulary: VocabularyMap? = nil
  ) throws(TesseraError) {
    (self.layout, self.codeCount, self.scheme) = (layout, codeCount, scheme)
    encoder = tokenizer?.makeEncoder()
    let look = TokenLookup(layout: layout.name, tokenizer: tokenizer, map: vocabulary)
    self.look = look
    beginOfDocument = try look.ids(layout.beginOfDocument)
    endOfDocument = try look.ids(layout.endOfDocument)
    beginOfImage = try look.ids(layout.beginOfImage)
    beginOfCodes = try look.ids(layout.beginOfCodes)
    endOfFrame = try look.ids(layout.endOfFrame)
    endOfImage = try look.ids(layout.endOfImage)
    endOfLine = try layout.endOfLine.map { line throws(TesseraError) in try look.id(line.token) }
    // Only rows of a fixed length need it: a name that is not there is an error then.
    pad = layout.pad.flatMap { try? look.id($0) }
    if layout.size?.text != nil, tokenizer == nil {
      throw TesseraError.mismatch("\(layout.name) writes sizes as text: name a --text-tokenizer")
    }
    map = try CodeMap(layout.codes, count: codeCount, look: look)
    let marks = [
      beginOfDocument, endOfDocument, beginOfImage, beginOfCodes, endOfFrame, endOfImage,
    ].joined()
    let all = Array(marks) + [endOfLine, pad].compactMap(\.self) + [map.greatest]
    let named = Int(vocabulary?.ids.values.max() ?? -1) + 1
    let needed = max(tokenizer?.vocabularySize ?? 0, named, Int(all.max() ?? 0) + 1)
    if let size = layout.vocabularySize, needed > size {
      throw TesseraError.mismatch(
        "\(layout.name): an id of \(needed - 1) is beyond its vocabulary of \(size); its codes or "
          + "the text tokenizer are another model's"
      )
    }
    vocabularySize = layout.vocabularySize ?? needed
  }

  /// The sequence of a document.
  ///
  /// - Throws: `TesseraError`; where only the document is at fault it says so.
  package mutating func sequence(of parts: [DocumentPart]) throws(TesseraError) -> TokenSequence {
    var sequence = TokenSequence()
    append(beginOfDocument, isLearned: [.all, .text].contains(layout.loss), to: &sequence)
    for (index, part) in parts.enumerated() {
      let isLast = index == parts.count - 1
      switch part {
      case .text(let text): try append(text, isLast: isLast, to: &sequence)
      case .image(let codes, let height, let width):
        try append(codes, height, width, isLast: isLast, to: &sequence)
      }
    }
    append(
      endOfDocument,
      isLearned: [.all, .text, .completion].contains(layout.loss),
      to: &sequence
    )
    guard !sequence.ids.isEmpty else {
      throw TesseraError(.mismatch, "the document has no token", detail: .document)
    }
    sequence.documentEnds = [sequence.ids.count]
    sequence.textPositions = sequence.ids.indices.map { Int32($0) }
    try addPositions(to: &sequence)
    return sequence
  }

  private func append(_ ids: [Int32], isLearned: Bool, to sequence: inout TokenSequence) {
    guard !ids.isEmpty else { return }
    sequence.ids += ids
    sequence.isLearned += [Bool](repeating: isLearned, count: ids.count)
    sequence.kinds += [UInt8](repeating: TokenSequence.Kind.text.rawValue, count: ids.count)
    if case .text(let count)? = sequence.segments.last {
      sequence.segments[sequence.segments.count - 1] = .text(count + ids.count)
    } else {
      sequence.segments.append(.text(ids.count))
    }
  }

  private mutating func append(
    _ text: String,
    isLast: Bool,
    to sequence: inout TokenSequence
  ) throws(TesseraError) {
    guard !text.isEmpty, layout.caption != .none else { return }
    let isLearned =
      switch layout.loss {
      case .all, .text: true
      case .completion: isLast
      case .codes, .image: false
      }
    append(try encode(text), isLearned: isLearned, to: &sequence)
  }

  private mutating func encode(_ text: String) throws(TesseraError) -> [Int32] {
    guard encoder != nil else {
      throw TesseraError.mismatch("\(layout.name) has captions to write: name a --text-tokenizer")
    }
    do {
      return try encoder?.encode(text) ?? []
    } catch {
      throw error.ofDocument
    }
  }

  private mutating func append(
    _ codes: [Int],
    _ height: Int,
    _ width: Int,
    isLast: Bool,
    to sequence: inout TokenSequence
  ) throws(TesseraError) {
    guard codes.count == height * width, !codes.isEmpty else {
      throw TesseraError(
        .malformedInput,
        "\(codes.count) codes are no grid of \(height) x \(width)",
        detail: .document
      )
    }
    let (learnsCodes, learnsMarks) =
      switch layout.loss {
      case .all, .image: (true, true)
      case .codes: (true, false)
      case .text: (false, false)
      case .completion: (isLast, isLast)
      }
    append(beginOfImage, isLearned: learnsMarks, to: &sequence)
    append(try size(height, width), isLearned: learnsMarks, to: &sequence)
    append(beginOfCodes, isLearned: learnsMarks, to: &sequence)
    let start = sequence.ids.count
    for row in 0..<height {
      try append(codes[row * width..<(row + 1) * width], isLearned: learnsCodes, to: &sequence)
      if let endOfLine, row < height - 1 || layout.endOfLine?.policy == .every {
        sequence.ids.append(endOfLine)
        sequence.isLearned.append(learnsMarks)
      }
    }
    let count = sequence.ids.count - start
    sequence.kinds += [UInt8](repeating: TokenSequence.Kind.image.rawValue, count: count)
    sequence.spans.append(TokenSequence.Span(start: start, count: count))
    sequence.grids.append((height, width))
    addSegment(height: height, width: width, count: count, to: &sequence)
    append(endOfFrame, isLearned: learnsMarks, to: &sequence)
    append(endOfImage, isLearned: learnsMarks, to: &sequence)
  }

  /// Appends a row of codes.
  private func append(
    _ codes: ArraySlice<Int>,
    isLearned: Bool,
    to sequence: inout TokenSequence
  ) throws(TesseraError) {
    for code in codes {
      guard (0..<codeCount).contains(code) else {
        throw TesseraError.malformed("a code of \(code) is beyond the tokenizer's \(codeCount)")
      }
      sequence.ids.append(map.id(of: code))
      sequence.isLearned.append(isLearned)
      if map.isSeparate { sequence.imageCodes.append(Int32(code)) }
    }
  }

  /// An end of a row stands in the column behind the last code; where there is none, its place is a gap.
  ///
  /// Schemes that only count tokens see no grid.
  private func addSegment(
    height: Int,
    width: Int,
    count: Int,
    to sequence: inout TokenSequence
  ) {
    if scheme?.name == .rope1d || scheme?.name == .v2pe {
      sequence.segments.append(.image(height: 1, width: count))
    } else if endOfLine != nil {
      sequence.segments.append(.image(height: height, width: width + 1))
      if count < height * (width + 1) {
        let before = sequence.segments.compactMap(\.tokenCount).reduce(0, +)
        sequence.gaps.append(before - 1)
      }
    } else {
      sequence.segments.append(.image(height: height, width: width))
    }
  }

  private mutating func size(_ height: Int, _ width: Int) throws(TesseraError) -> [Int32] {
    guard let size = layout.size else { return [] }
    guard let token = size.token else {
      let text = size.text ?? ""
      return try encode(
        text.replacing("{height}", with: "\(height)").replacing("{width}", with: "\(width)")
      )
    }
    var ids: [Int32] = []
    for side in [height, width] {
      let divisor = size.divisor ?? 1
      guard side.isMultiple(of: divisor) else {
        throw TesseraError(
          .mismatch,
          "a side of \(side) codes is no multiple of \(divisor), which the size tokens of "
            + "\(layout.name) count",
          detail: .document
        )
      }
      let number = String((size.base ?? 0) + side / divisor)
      let zeros = String(repeating: "0", count: max(0, (size.digits ?? 0) - number.count))
      ids.append(try look.id(.name(token.replacing("{}", with: zeros + number))))
    }
    return ids
  }

  private func addPositions(to sequence: inout TokenSequence) throws(TesseraError) {
    guard let scheme else { return }
    do {
      let ids = try scheme.positions(of: sequence.segments)
      let gaps = Set(sequence.gaps)
      sequence.positions = ids.axes.indices.map { axis in
        let values = ids.ids(axis: axis)
        guard !gaps.isEmpty else { return values.map { Float($0) } }
        return values.enumerated().filter { !gaps.contains($0.offset) }.map { Float($0.element) }
      }
    } catch {
      throw error.ofDocument
    }
    // Float32 holds the numbers of every sequence that a row can have.
    guard sequence.positions.joined().allSatisfy({ abs($0) < 0x1p24 }) else {
      throw TesseraError(
        .numericLimit,
        "a position id is beyond 2^24; split the document",
        detail: .document
      )
    }
  }
}
