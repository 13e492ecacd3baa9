import TesseraCore
import TesseraTokenizers
import Testing

@Suite struct ProbabilityMapTests {
  private func dense(
    _ map: String,
    _ scores: [Float],
    temperature: Double = 1
  ) throws -> [Float] {
    let map = try ProbabilityMap(parsing: map)
    let found = try map.distribution(of: scores, temperature: temperature)
    var dense = [Float](repeating: 0, count: scores.count)
    for (index, value) in zip(found.indices, found.values) { dense[Int(index)] = value }
    #expect(found.indices == found.indices.sorted())
    #expect(found.values.allSatisfy { $0 > 0 })
    return dense
  }

  private func expect(_ found: [Float], _ expected: [Float]) {
    #expect(found.count == expected.count)
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-6 }, "\(found) is not \(expected)")
  }

  // The values are those of the entmax library 1.3 in float64.
  @Test func entmaxLibrary() throws {
    let ties: [Float] = [1, 1, 0.5, 1, -3]
    try expect(dense("sparsemax", ties), [1.0 / 3, 1.0 / 3, 0, 1.0 / 3, 0])
    try expect(
      dense("entmax:1.5", ties),
      [0.30320508, 0.30320508, 0.09038477, 0.30320508, 0]
    )
    try expect(
      dense("entmax:1.25", ties),
      [0.28792612, 0.28792612, 0.13622163, 0.28792612, 0]
    )
    let plain: [Float] = [0.3, -0.2, 1.1, 0.9, 0, -2]
    try expect(dense("sparsemax", plain), [0, 0, 0.6, 0.4, 0, 0])
    try expect(
      dense("entmax:1.5", plain),
      [0.09584868, 0.00355149, 0.50352417, 0.37160530, 0.02547036, 0]
    )
    try expect(
      dense("entmax:1.25", plain),
      [0.13230174, 0.05224989, 0.41599173, 0.32167491, 0.07778110, 6.2373808e-7]
    )
    try expect(dense("entmax:3", plain), [0, 0, 0.7, 0.3, 0, 0])
    try expect(dense("entmax:2", plain), dense("sparsemax", plain))
  }

  @Test func saturation() throws {
    // A gap of exactly 2 is where strict comparisons on both sides find no threshold.
    for map in ["sparsemax", "entmax:1.5", "entmax:3"] { try expect(dense(map, [2, 0]), [1, 0]) }
    try expect(dense("entmax:1.5", [0, 2, 0, 2]), [0, 0.5, 0, 0.5])
    try expect(dense("entmax:1.5", [1e30, -1e30]), [1, 0])
    try expect(dense("entmax:1.01", [88, 0]), [1, 0])
    try expect(dense("sparsemax", [7]), [1])
  }

  @Test func softmaxes() throws {
    let scores: [Float] = [1, 3, 2, 3, -.infinity]
    let sum: Float = 0.13533528 + 1 + 0.36787944 + 1
    try expect(dense("softmax", scores), [0.13533528 / sum, 1 / sum, 0.36787944 / sum, 1 / sum, 0])
    try expect(dense("softmax:top-k=1", scores), [0, 1, 0, 0, 0])
    try expect(dense("softmax:top-k=2", scores), [0, 0.5, 0, 0.5, 0])
    try expect(dense("softmax:top-k=99", scores), dense("softmax", scores))
    try expect(dense("softmax:top-p=0.3", scores), [0, 1, 0, 0, 0])
    try expect(dense("softmax:top-p=0.5", scores), [0, 0.5, 0, 0.5, 0])
    try expect(dense("softmax:top-p=1", scores), dense("softmax", scores))
    try expect(dense("entmax:1", scores), dense("softmax", scores))
    try expect(dense("softmax", [0, 2], temperature: 2), dense("softmax", [0, 1]))
  }

  @Test func manyTiesAndLongRows() throws {
    let scores = (0..<5000).map { Float($0 % 7) }
    let best = try ProbabilityMap.topK(3).distribution(of: scores)
    #expect(best.indices == [6, 13, 20])
    let share = try ProbabilityMap.topP(0.2).distribution(of: scores)
    #expect(share.indices.allSatisfy { $0 % 7 == 6 })
    #expect(share.indices.first == 6 && share.indices.count < 714)
    #expect(abs(share.values.reduce(0, +) - 1) < 1e-5)
  }

  @Test func taylor() throws {
    try expect(dense("taylor:2", [0, 1, -1]), [1 / 4.0, 2.5 / 4, 0.5 / 4])
    #expect(throws: TesseraError.self) { try dense("taylor:64", [3e38, 1]) }
  }

  @Test(arguments: [
    "", "softmin", "entmax", "entmax:0.9", "entmax:x", "taylor:3", "taylor:0", "softmax:top-k=0",
    "softmax:top-p=0", "softmax:top-p=1.5", "softmax:k", "sparsemax:2", "entmax:nan",
  ])
  func mapsThatCannotBe(_ map: String) {
    #expect(throws: TesseraError.self) { try ProbabilityMap(parsing: map) }
  }

  @Test func rowsWithoutADistribution() throws {
    #expect(throws: TesseraError.notFinite(score: 1)) { try dense("softmax", [0, .nan]) }
    #expect(throws: TesseraError.notFinite(score: 0)) { try dense("sparsemax", [.infinity]) }
    #expect(throws: TesseraError.emptyRow) { try dense("softmax", [-.infinity]) }
    #expect(throws: TesseraError.emptyRow) { try dense("softmax", []) }
    // At 1e-40 the mass of a row would be 0, at the least of all every draw the first code.
    let refused: [Double] = [0, -1, .nan, .infinity, 1e-40, .leastNonzeroMagnitude]
    for temperature in refused {
      #expect(throws: TesseraError.self) { try dense("softmax", [1], temperature: temperature) }
    }
    try expect(dense("softmax", [1, 2], temperature: 3e-39), [0, 1])
  }

  @Test func spellings() throws {
    for name in [
      "softmax", "softmax:top-k=8", "softmax:top-p=0.9", "sparsemax", "entmax:1.5", "taylor:2",
    ] {
      #expect(try ProbabilityMap(parsing: name).description == name)
    }
  }

  @Test func philox() {
    // The known answers of Random123's kat_vectors for philox4x32-10.
    let zero = CounterRandom(seed: 0, sample: 0).words(block: 0, position: 0)
    #expect(zero == SIMD4(0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8))
    let ones = CounterRandom(seed: .max, sample: .max).words(block: .max, position: .max)
    #expect(ones == SIMD4(0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD))
    let pi = CounterRandom(seed: 0x299F_31D0_A409_3822, sample: 0x0370_7344_1319_8A2E)
      .words(block: 0x243F_6A88, position: 0x85A3_08D3)
    #expect(pi == SIMD4(0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1))
  }

  @Test func drawsFollowTheSoftmax() throws {
    let codebook = try Codebook(count: 3, dimensions: 1, values: [0, 1, 2])
    let quantizer = Quantizer.vector(try VectorQuantizer(rule: .l2, codebook: codebook))
    let latents = [Float](repeating: 0.8, count: 40_000)
    let random = CounterRandom(seed: 7, sample: 1)
    let codes = try quantizer.draw(latents, temperature: 0.5, random: random)
    let weights = [-0.64, -0.04, -1.44].map { (score: Double) in 2 * score }.map {
      ProbabilityReference.exponential($0)
    }
    for code in 0..<3 {
      let share = Double(codes.count { $0 == UInt32(code) }) / 40_000
      #expect(abs(share - weights[code] / weights.reduce(0, +)) < 0.012)
    }
    #expect(try quantizer.draw(latents, temperature: 0.5, random: random) == codes)
    let other = CounterRandom(seed: 8, sample: 1)
    #expect(try quantizer.draw(latents, temperature: 0.5, random: other) != codes)
  }
}

private enum ProbabilityReference {
  /// e^x by its series, which needs no library.
  static func exponential(_ x: Double) -> Double {
    var (sum, term) = (1.0, 1.0)
    for n in 1..<40 {
      term *= x / Double(n)
      sum += term
    }
    return sum
  }
}
