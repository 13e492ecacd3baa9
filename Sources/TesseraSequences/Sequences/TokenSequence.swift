/// One document, or several in one row, as a trainer reads it.
package struct TokenSequence: Hashable, Sendable {
  /// What a token is.
  package enum Kind: UInt8, Sendable {
    case text = 0
    case image = 1
  }

  /// A run of tokens.
  package struct Span: Hashable, Sendable {
    /// The index of the first token.
    package var start: Int
    /// The number of tokens.
    package var count: Int
  }

  /// The ids.
  package var ids: [Int32] = []
  /// Whether each token is learned.
  package var isLearned: [Bool] = []
  /// 0 for text, 1 for the tokens of an image's grid: codes and ends of rows.
  package var kinds: [UInt8] = []
  /// Where the grid of each image stands.
  package var spans: [Span] = []
  /// Rows and columns of codes of each image.
  package var grids: [(height: Int, width: Int)] = []
  /// The codes of all images where they are a space of their own.
  package var imageCodes: [Int32] = []
  /// The segments that give positions.
  package var segments: [Segment] = []
  /// Places of the segments' tokens that stand for no token: ends of rows that are not written.
  package var gaps: [Int] = []
  /// The position ids of each axis; empty where there is no scheme.
  package var positions: [[Float]] = []
  /// The index behind the last token of each document.
  package var documentEnds: [Int] = []
  /// Counts the tokens of each document from 0.
  package var textPositions: [Int32] = []

  /// Creates an empty sequence.
  package init() {}

  /// The label of a token that is not learned.
  package static let ignored: Int32 = -100

  /// The ids that are learned, -100 elsewhere.
  package var labels: [Int32] {
    zip(ids, isLearned).map { $1 ? $0 : Self.ignored }
  }

  /// Equal in every array.
  package static func == (left: TokenSequence, right: TokenSequence) -> Bool {
    left.ids == right.ids && left.isLearned == right.isLearned && left.kinds == right.kinds
      && left.spans == right.spans && left.imageCodes == right.imageCodes
      && left.positions == right.positions && left.documentEnds == right.documentEnds
      && left.grids.elementsEqual(right.grids, by: ==)
  }

  /// Hashes the ids.
  package func hash(into hasher: inout Hasher) { hasher.combine(ids) }

  /// Appends another sequence; its indices move on.
  package mutating func append(_ other: TokenSequence) {
    let offset = ids.count
    spans += other.spans.map { Span(start: $0.start + offset, count: $0.count) }
    documentEnds += other.documentEnds.map { $0 + offset }
    ids += other.ids
    isLearned += other.isLearned
    kinds += other.kinds
    grids += other.grids
    imageCodes += other.imageCodes
    textPositions += other.textPositions
    if positions.isEmpty {
      positions = other.positions
    } else {
      for axis in positions.indices { positions[axis] += other.positions[axis] }
    }
  }

  /// Takes the label of the first token, which nothing in its row predicts.
  mutating func ignoreFirst() {
    if !isLearned.isEmpty { isLearned[0] = false }
  }

  /// Takes the first tokens away; neither part knows its images afterwards.
  ///
  /// What is left of a document that is cut begins as a document does: attention that is cut where
  /// ``textPositions`` is 0 must find it, and nothing in its row predicts its first token.
  ///
  /// - Parameter count: At most the number of tokens.
  /// - Returns: The tokens taken, as a sequence without images, which ends where the cut is.
  package mutating func split(first count: Int) -> TokenSequence {
    var head = TokenSequence()
    head.ids = Array(ids[..<count])
    head.isLearned = Array(isLearned[..<count])
    head.kinds = Array(kinds[..<count])
    head.textPositions = Array(textPositions[..<count])
    head.positions = positions.map { Array($0[..<count]) }
    head.documentEnds = documentEnds.filter { $0 <= count }
    ids.removeFirst(count)
    isLearned.removeFirst(count)
    kinds.removeFirst(count)
    textPositions.removeFirst(count)
    for axis in positions.indices { positions[axis].removeFirst(count) }
    documentEnds = documentEnds.filter { $0 > count }.map { $0 - count }
    if let first = textPositions.first, first > 0 {
      for token in 0..<(documentEnds.first ?? ids.count) { textPositions[token] -= first }
      ignoreFirst()
      head.documentEnds.append(count)
    }
    // A row that cuts images says nothing of them.
    (spans, grids, imageCodes) = ([], [], [])
    return head
  }

  /// Fills the sequence up with a token that is not learned.
  package mutating func pad(to length: Int, with id: Int32) {
    let count = max(0, length - ids.count)
    ids += [Int32](repeating: id, count: count)
    isLearned += [Bool](repeating: false, count: count)
    kinds += [UInt8](repeating: 0, count: count)
    textPositions += [Int32](repeating: 0, count: count)
    for axis in positions.indices { positions[axis] += [Float](repeating: 0, count: count) }
  }
}
