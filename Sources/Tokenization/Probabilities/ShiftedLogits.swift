import Tensors

/// A row of logits less its largest, divided by a temperature, and the distributions that maps make of it.
struct ShiftedLogits {
  typealias Entry = (index: Int, probability: Double)

  /// The row.
  let scores: ArraySlice<Float>
  /// The largest of them, above minus infinity.
  let top: Double
  let temperature: Double

  /// The score of a class below the largest one, divided by the temperature: at most 0.
  @inline(__always)
  private func shifted(_ index: Int) -> Double {
    (Double(scores[scores.startIndex &+ index]) - top) / temperature
  }

  /// e^x over the sum, over all classes.
  func softmax() -> SparseDistribution {
    softmax(over: scores.indices.map { $0 - scores.startIndex })
  }

  /// e^x over the sum, over some classes in ascending order.
  func softmax(over classes: [Int]) -> SparseDistribution {
    var entries: [Entry] = classes.map { ($0, ElementaryFunctions.exp(shifted($0))) }
    normalize(&entries)
    return SparseDistribution(entries)
  }

  /// Softmax over the fewest largest scores whose probabilities reach a share together.
  func softmax(reaching share: Double) -> SparseDistribution {
    var sum = 0.0
    for index in 0..<scores.count { sum += ElementaryFunctions.exp(shifted(index)) }
    // Most rows reach the share within a few scores: more are sorted only where they are needed.
    var count = min(64, scores.count)
    while true {
      let classes = descending(count)
      var reached = 0.0
      for (place, index) in classes.enumerated() {
        reached += ElementaryFunctions.exp(shifted(index)) / sum
        if reached >= share || place + 1 == scores.count {
          return softmax(over: classes[...place].sorted())
        }
      }
      count = min(scores.count, count * 8)
    }
  }

  /// The classes with the largest scores, in ascending order.
  func largest(_ count: Int) -> [Int] { descending(count).sorted() }

  /// The classes with the largest scores, the largest first, of equal ones the lowest.
  private func descending(_ count: Int) -> [Int] {
    let count = min(count, scores.count)
    func precedes(_ one: Int, _ other: Int) -> Bool {
      let (a, b) = (scores[scores.startIndex + one], scores[scores.startIndex + other])
      return a > b || (a == b && one < other)
    }
    var kept: [Int] = []
    var least = -Float.infinity
    for index in 0..<scores.count {
      // Classes come in ascending order, so one that equals the least of enough others is too late.
      guard kept.count < count || scores[scores.startIndex + index] > least else { continue }
      kept.append(index)
      guard kept.count >= max(2 * count, 32) else { continue }
      kept.sort(by: precedes)
      kept.removeLast(kept.count - count)
      least = kept.last.map { scores[scores.startIndex + $0] } ?? least
    }
    kept.sort(by: precedes)
    return Array(kept.prefix(count))
  }

  /// max(0, x - τ).
  func sparsemax() -> SparseDistribution {
    let candidates = candidates(scale: 1)
    var (sum, threshold) = (0.0, 0.0)
    for (place, value) in candidates.map(\.value).sorted(by: >).enumerated() {
      sum += value
      let count = Double(place + 1)
      guard count * value > sum - 1 else { break }
      threshold = (sum - 1) / count
    }
    return SparseDistribution(candidates.map { ($0.index, max(0, $0.value - threshold)) })
  }

  /// max(0, x / 2 - τ)².
  func entmax15() -> SparseDistribution {
    let candidates = candidates(scale: 0.5)
    var (sum, squares, threshold) = (0.0, 0.0, -1.0)
    for (place, value) in candidates.map(\.value).sorted(by: >).enumerated() {
      sum += value
      squares += value * value
      let count = Double(place + 1)
      let mean = sum / count
      let spread = count * (squares / count - mean * mean)
      let found = mean - max(0, (1 - spread) / count).squareRoot()
      // At saturation, a gap of exactly 2, the threshold equals the second score: it belongs in.
      if found <= value { threshold = found }
    }
    var entries: [Entry] = candidates.map {
      let rest = max(0, $0.value - threshold)
      return ($0.index, rest * rest)
    }
    normalize(&entries)
    return SparseDistribution(entries)
  }

  /// max(0, (α - 1) x - τ)^(1 / (α - 1)) by bisection.
  func entmax(_ alpha: Double) -> SparseDistribution {
    let power = alpha - 1
    let candidates = candidates(scale: power)
    func entries(_ threshold: Double) -> [Entry] {
      candidates.map { candidate in
        let rest = candidate.value - threshold
        guard rest > 0 else { return (candidate.index, 0) }
        let logarithm = ElementaryFunctions.log(rest)
        return (candidate.index, ElementaryFunctions.exp(logarithm / power))
      }
    }
    // With the largest at 0, all of the mass on it wants -1, and equal shares want -n^(1 - α).
    var low = -1.0
    let spread = -power * ElementaryFunctions.log(Double(candidates.count))
    var width = -ElementaryFunctions.exp(spread) - low
    for _ in 0..<60 {
      width /= 2
      let sum = entries(low + width).reduce(0) { $0 + $1.probability }
      if sum >= 1 { low += width }
    }
    var found = entries(low)
    normalize(&found)
    return SparseDistribution(found)
  }

  /// The polynomial over its sum.
  func taylor(_ order: Int) throws(ProbabilityError) -> SparseDistribution {
    var entries: [Entry] = []
    for index in 0..<scores.count {
      let x = Double(scores[scores.startIndex + index]) / temperature
      guard x.isFinite else { throw .notFinite(index: index) }
      var sum = 1.0
      for term in stride(from: order, through: 1, by: -1) { sum = 1 + sum * x / Double(term) }
      entries.append((index, sum))
    }
    let sum = entries.reduce(0) { $0 + $1.probability }
    guard sum.isFinite else { throw .overflow }
    normalize(&entries)
    return SparseDistribution(entries)
  }

  /// The classes that can have a probability, with scale · score / temperature below the largest one: those
  /// less than 1 below it.
  private func candidates(scale: Double) -> [(index: Int, value: Double)] {
    var candidates: [(index: Int, value: Double)] = []
    for index in 0..<scores.count {
      let value = scale * shifted(index)
      if value > -1 { candidates.append((index, value)) }
    }
    return candidates
  }

  private func normalize(_ entries: inout [Entry]) {
    let sum = entries.reduce(0) { $0 + $1.probability }
    for place in entries.indices { entries[place].probability /= sum }
  }
}
