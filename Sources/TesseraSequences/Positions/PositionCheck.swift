package import TesseraCore

/// What holds of the ids of some documents: computed with exact fractions, so that a finding is a
/// proof for these documents.
package struct PositionCheck: Sendable {
  /// A property that a scheme of position ids may have.
  package enum Property: String, CaseIterable, Sendable {
    /// Text has the same id on every axis, and text alone is counted one by one as in one dimension.
    case compatibility
    /// On each axis the step from the text before a grid to its first id is the step from its last
    /// id to the text behind it.
    case symmetry
    /// A grid takes as many positions as it has tokens.
    case equivalence
    /// No two tokens of a document have the same ids on all axes, as they are written.
    case uniqueness
    /// The ids of text ascend.
    case monotony
    /// Every id is written without rounding.
    case exactness
  }

  /// Whether a property holds, and the first place where it does not.
  package struct Finding: Sendable, Hashable {
    /// Nil where the property holds; otherwise one line that names document and segment.
    package let counterexample: String?
    /// Whether the property holds.
    package var holds: Bool { counterexample == nil }
  }

  /// The axes' names.
  package let axes: [String]
  /// The number of documents.
  package let documents: Int
  /// The number of tokens of all documents.
  package let tokens: Int
  /// The greatest id on any axis, as it is written.
  package let maximum: Double
  /// How many positions from the first one on reach every id: what a trainer's context must hold.
  package let span: Int
  /// The properties and what was found.
  package let findings: [Property: Finding]

  /// Checks documents.
  ///
  /// - Parameters:
  ///   - scheme: The rule.
  ///   - documents: Documents, each counted from the origin.
  /// - Throws: `TesseraError` where the scheme does not define them.
  package init(_ scheme: PositionScheme, documents: [[Segment]]) throws(TesseraError) {
    let hasVideo = documents.joined().contains(where: \.isVideo)
    axes = scheme.axes(withVideo: hasVideo)
    self.documents = documents.count
    tokens = try scheme.tokenCounts(of: documents).reduce(0, +)
    var search = PositionCounterexamples(isFractional: scheme.name.isFractional)
    var maximum = -Double.infinity
    for (index, document) in documents.enumerated() {
      let own = scheme.axes(withVideo: document.contains(where: \.isVideo))
      var walk = PositionWalk(scheme: scheme, axisCount: own.count)
      try walk.append(document)
      let ids = try scheme.positions(ofPack: [document], withTextAxis: false)
      search.add(walk.runs, number: index + 1, isAlone: documents.count == 1)
      search.addTokens(ids, number: index + 1)
      for axis in ids.axes.indices { maximum = max(maximum, ids.ids(axis: axis).max() ?? maximum) }
    }
    self.maximum = maximum.isFinite ? maximum : Double(scheme.origin)
    let reach = Int(self.maximum.rounded(.up)) - scheme.origin + 1
    span = max(0, reach)
    findings = Dictionary(
      uniqueKeysWithValues: Property.allCases.map { property in
        (property, Finding(counterexample: search.found[property]))
      }
    )
  }

  /// Documents that try a scheme where the user names none: text alone, each grid up to 8 x 8 between
  /// texts, two images in a row of segments, and, where the scheme has videos, those up to 4 x 4 x 4.
  package static func documents(for scheme: PositionScheme) -> [[Segment]] {
    var documents: [[Segment]] = [[.text(16)]]
    for height in 1...8 {
      for width in 1...8 {
        documents.append([.text(3), .image(height: height, width: width), .text(3)])
      }
    }
    let pair: [Segment] = [.image(height: 2, width: 3), .text(2), .image(height: 5, width: 1)]
    documents.append([.text(1)] + pair + [.text(1)])
    guard ![.rope2d, .v2pe, .glmImage].contains(scheme.name) else { return documents }
    for frames in 1...4 {
      for height in 1...4 {
        for width in 1...4 {
          let video = Segment.video(
            frames: frames,
            height: height,
            width: width,
            secondsPerGrid: 0.5
          )
          documents.append([.text(3), video, .text(3)])
        }
      }
    }
    return documents
  }
}

/// The search for places where a property does not hold.
private struct PositionCounterexamples {
  let isFractional: Bool
  private(set) var found: [PositionCheck.Property: String] = [:]

  init(isFractional: Bool) { self.isFractional = isFractional }

  private mutating func report(
    _ property: PositionCheck.Property,
    _ place: @autoclosure () -> String
  ) {
    if found[property] == nil { found[property] = place() }
  }

  mutating func add(_ runs: [PositionRun], number: Int, isAlone: Bool) {
    let name = isAlone ? "" : "document \(number), "
    var last: Int?
    for (index, run) in runs.enumerated() {
      let place = "\(name)segment \(index + 1)"
      switch run {
      case .text(let count, let first, let isFixed):
        if count == 0 { continue }
        if isFixed {
          report(.compatibility, "\(place): text stays at 0")
          if count > 1 || last != nil { report(.monotony, "\(place): text stays at 0") }
        }
        if let last, first <= last { report(.monotony, "\(place): \(first) behind \(last)") }
        last = isFixed ? 0 : first + count - 1
      case .grid(let grid, let rulers, let before, let next):
        let taken = next - before - 1
        if taken != grid.tokens {
          report(.equivalence, "\(place): \(grid.tokens) tokens take \(taken) positions")
        }
        for (axis, ruler) in rulers.enumerated() {
          add(ruler, place: "\(place), axis \(axis)", before: before, next: next)
        }
      }
    }
  }

  private mutating func add(_ ruler: PositionRuler, place: String, before: Int, next: Int) {
    guard let first = ruler.numerators.first, let last = ruler.numerators.last else { return }
    let (enter, leave) = (first - before * ruler.denominator, next * ruler.denominator - last)
    if enter != leave {
      func step(_ numerator: Int) -> String {
        let value = Double(numerator) / Double(ruler.denominator)
        return Int(exactly: value).map(String.init) ?? "\(Float(value))"
      }
      report(.symmetry, "\(place): a step of \(step(enter)) in, \(step(leave)) out")
    }
    if isFractional, found[.exactness] == nil {
      let inexact = ruler.numerators.first { numerator in
        let written = Float(Double(numerator) / Double(ruler.denominator))
        // The product of two numbers of 24 bits is exact in float64.
        return ruler.denominator >= 1 << 24
          || Double(written) * Double(ruler.denominator) != Double(numerator)
      }
      if let inexact {
        report(.exactness, "\(place): \(inexact)/\(ruler.denominator) is no float32")
      }
    }
  }

  /// Looks for two tokens with the same ids.
  mutating func addTokens(_ positions: PositionIds, number: Int) {
    guard found[.uniqueness] == nil else { return }
    let ids = positions.axes.indices.map { positions.ids(axis: $0) }
    precondition(ids.count <= 4, "schemes have at most three axes, and a pack's text axis")
    // Without an array for each token: there may be millions.
    func vector(_ token: Int) -> SIMD4<Double> {
      var vector = SIMD4<Double>()
      for axis in ids.indices { vector[axis] = ids[axis][token] }
      return vector
    }
    var seen = Set<SIMD4<Double>>(minimumCapacity: positions.tokens)
    for token in 0..<positions.tokens {
      let key = vector(token)
      if !seen.insert(key).inserted {
        let other = (0..<token).last { vector($0) == key } ?? token
        let vector = ids.map { $0[token] }
        let text = vector.map { Int(exactly: $0).map(String.init) ?? "\(Float($0))" }
        report(
          .uniqueness,
          "document \(number): tokens \(other) and \(token) are both at "
            + "(\(text.joined(separator: ", ")))"
        )
        return
      }
    }
  }
}
