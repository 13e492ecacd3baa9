/// Square grids of vectors brought to another size, as PyTorch's `interpolate` does it; [side, side, dimensions].
enum GridResampling {
  /// Means over blocks (`mode='area'`, adaptive average pooling).
  static func area(_ values: [Float], side: Int, _ dimensions: Int, to target: Int) -> [Float] {
    var result = [Float](repeating: 0, count: target * target * dimensions)
    for row in 0..<target {
      for column in 0..<target {
        let (rows, columns) = (block(row, side, target), block(column, side, target))
        let start = (row * target + column) * dimensions
        for dimension in 0..<dimensions {
          var sum: Float = 0
          for y in rows {
            for x in columns { sum += values[(y * side + x) * dimensions + dimension] }
          }
          result[start + dimension] = sum / Float(rows.count) / Float(columns.count)
        }
      }
    }
    return result
  }

  /// The places that one mean is taken of.
  private static func block(_ index: Int, _ side: Int, _ target: Int) -> Range<Int> {
    index * side / target..<((index + 1) * side + target - 1) / target
  }

  /// What each place of `side` gives to each of `target` means: [target, side].
  static func areaWeights(from side: Int, to target: Int) -> [Float] {
    weights(from: side, to: target) { index in
      let places = block(index, side, target)
      return places.map { ($0, 1 / Float(places.count)) }
    }
  }

  /// What each place of `side` gives to each of `target` interpolated ones: [target, side].
  static func bicubicWeights(from side: Int, to target: Int) -> [Float] {
    weights(from: side, to: target) { index in
      let taps = Taps(at: index, from: side, to: target)
      return Array(zip(taps.places, taps.weights))
    }
  }

  private static func weights(
    from side: Int,
    to target: Int,
    _ taps: (Int) -> [(place: Int, weight: Float)]
  ) -> [Float] {
    var result = [Float](repeating: 0, count: target * side)
    for index in 0..<target {
      for tap in taps(index) { result[index * side + tap.place] += tap.weight }
    }
    return result
  }

  /// Cubic interpolation with a = -0.75, half-pixel centres and repeated edges, without antialiasing
  /// (`mode='bicubic'`).
  static func bicubic(_ values: [Float], side: Int, _ dimensions: Int, to target: Int) -> [Float] {
    let taps = (0..<target).map { Taps(at: $0, from: side, to: target) }
    var result = [Float](repeating: 0, count: target * target * dimensions)
    for row in 0..<target {
      for column in 0..<target {
        let start = (row * target + column) * dimensions
        for dimension in 0..<dimensions {
          var sum: Float = 0
          for (y, weight) in zip(taps[row].places, taps[row].weights) {
            var line: Float = 0
            for (x, weight) in zip(taps[column].places, taps[column].weights) {
              line += values[(y * side + x) * dimensions + dimension] * weight
            }
            sum += line * weight
          }
          result[start + dimension] = sum
        }
      }
    }
    return result
  }

  /// The four places that one output comes from, and their weights.
  private struct Taps {
    let places: [Int]
    let weights: [Float]

    init(at index: Int, from side: Int, to target: Int) {
      let scale = Float(side) / Float(target)
      let source = scale * (Float(index) + 0.5) - 0.5
      let first = source.rounded(.down)
      let t = source - first
      let a: Float = -0.75
      func near(_ x: Float) -> Float { ((a + 2) * x - (a + 3)) * x * x + 1 }
      func far(_ x: Float) -> Float { ((a * x - 5 * a) * x + 8 * a) * x - 4 * a }
      weights = [far(t + 1), near(t), near(1 - t), far(2 - t)]
      places = (0..<4).map { max(0, min(side - 1, Int(first) - 1 + $0)) }
    }
  }
}
