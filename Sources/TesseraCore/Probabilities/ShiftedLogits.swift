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

  /// max(0, (α - 1) x - τ)^(1 / (α - 1)), for any α above 1.
  ///
  /// The threshold is never bisected itself: between two of its neighbours in float64 probabilities differ by
  /// ε^(1 / (α - 1)), which is 2 % at α = 10. Some class's probability is, on which the others depend smoothly.
  func entmax(_ alpha: Double) -> SparseDistribution {
    let power = alpha - 1
    let classes = candidates(scale: power).map(\.index)
    var found =
      power <= 1
      ? solved(classes, from: -ElementaryFunctions.log(Double(classes.count))) { logarithm, index in
        probability(index, belowLargest: logarithm, power)
      }
      : entmaxAboveLeast(classes, power)
    normalize(&found)
    return SparseDistribution(found)
  }

  /// The probability of a class where the largest is m = e^logarithm: m (1 + βx / m^β)^(1/β), for β of at most 1.
  private func probability(
    _ index: Int,
    belowLargest logarithm: Double,
    _ power: Double
  ) -> Double {
    let x = power * shifted(index) * ElementaryFunctions.exp(-power * logarithm)
    guard x > -1 else { return 0 }
    return ElementaryFunctions.exp(logarithm + ElementaryFunctions.log1p(x) / power)
  }

  /// The same for β above 1, from the least probability q: (βd + q^β)^(1/β) for a score d above the least one's.
  private func entmaxAboveLeast(_ classes: [Int], _ power: Double) -> [Entry] {
    let order = classes.sorted { score($0) > score($1) }
    let scale = ElementaryFunctions.log(power) - ElementaryFunctions.log(temperature)
    /// ln of β times the distance of a score from another one below it.
    func distance(_ index: Int, _ least: Int) -> Double {
      ElementaryFunctions.log(score(index) - score(least)) + scale
    }
    /// Whether a class has a probability: those above it, with the threshold at its own score, have less than 1.
    func hasProbability(_ place: Int) -> Bool {
      var sum = 0.0
      for index in order[..<place] {
        sum += ElementaryFunctions.exp(distance(index, order[place]) / power)
        if sum >= 1 { return false }
      }
      return true
    }
    var (count, beyond) = (1, order.count)
    while count < beyond {
      let middle = (count + beyond) / 2
      if hasProbability(middle) { count = middle + 1 } else { beyond = middle }
    }
    let support = order[..<count]
    let distances = support.map { distance($0, support[count - 1]) }
    let places = Array(support.indices)
    let entries = solved(places, upTo: 1 / Double(count)) { least, place in
      // ln (e^a + e^b), where each may be minus infinity.
      let (a, b) = (distances[place], power * ElementaryFunctions.log(least))
      let larger = max(a, b)
      guard larger > -.infinity else { return 0 }
      let sum = larger + ElementaryFunctions.log1p(ElementaryFunctions.exp(min(a, b) - larger))
      return ElementaryFunctions.exp(sum / power)
    }
    return zip(support, entries).map { ($0, $1.probability) }.sorted { $0.index < $1.index }
  }

  private func score(_ index: Int) -> Double { Double(scores[scores.startIndex + index]) }

  /// The probabilities that sum to 1 of those that grow with a variable, by bisection.
  private func solved(
    _ items: [Int],
    from low: Double = 0,
    upTo high: Double = 0,
    _ probability: (_ variable: Double, _ item: Int) -> Double
  ) -> [Entry] {
    var (low, width) = (low, high - low)
    for _ in 0..<60 {
      width /= 2
      let sum = items.reduce(0) { $0 + probability(low + width, $1) }
      if sum <= 1 { low += width }
    }
    return items.map { ($0, probability(low, $0)) }
  }

  /// The polynomial over its sum.
  func taylor(_ order: Int) throws(TesseraError) -> SparseDistribution {
    var entries: [Entry] = []
    for index in 0..<scores.count {
      let x = Double(scores[scores.startIndex + index]) / temperature
      guard x.isFinite else { throw .notFinite(score: index) }
      entries.append((index, Self.taylor(order, at: x)))
    }
    let sum = entries.reduce(0) { $0 + $1.probability }
    guard sum.isFinite else { throw .polynomialOverflow }
    normalize(&entries)
    return SparseDistribution(entries)
  }

  /// Taylor's polynomial of e^x of an even order.
  private static func taylor(_ order: Int, at x: Double) -> Double {
    guard x < -1, x >= -2 * Double(order) else {
      // Above -1 and far below, one term or the sum of positive ones outweighs all others.
      var sum = 1.0
      for term in stride(from: order, through: 1, by: -1) { sum = 1 + sum * x / Double(term) }
      return sum
    }
    // In between its terms cancel. It is e^x plus the remainder ∫ (a - s)^K e^-s ds / K! from 0 to a = -x, which is
    // e^x Σ a^(K+1+j) / (K! j! (K+1+j)): positive numbers.
    let a = -x
    var factor = a
    for term in 1...order { factor *= a / Double(term) }
    var (sum, index) = (1.0, 0.0)
    while true {
      let term = factor / (Double(order) + 1 + index)
      sum += term
      if index > a, term < sum * 1e-18 { break }
      index += 1
      factor *= a / index
    }
    return ElementaryFunctions.exp(x) * sum
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
