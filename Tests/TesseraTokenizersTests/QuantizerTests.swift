import CKernels
import Foundation
import TesseraCore
import TesseraTokenizers
import Testing

@Suite struct QuantizerTests {
  /// Numbers in [-1, 1) from a small generator.
  private static func numbers(_ count: Int, seed: UInt64) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / 8_388_608 - 1
    }
  }

  /// Odd numbers of vectors, codes and dimensions: every tail of the kernels.
  @Test(arguments: [(1, 1, 1), (7, 33, 5), (65, 100, 8), (97, 31, 40), (3, 1025, 257)])
  func everyInstructionSetGivesTheSameBits(_ count: Int, _ codes: Int, _ dimensions: Int) throws {
    let codebook = try Codebook(
      count: codes,
      dimensions: dimensions,
      values: Self.numbers(codes * dimensions, seed: 1)
    )
    let latents = Self.numbers(count * dimensions, seed: 2)
    for rule in [VectorQuantizer.Rule.l2, .cosine, .dot] {
      let quantizer = try VectorQuantizer(rule: rule, codebook: codebook)
      let expected = try quantizer.quantize(latents, instructions: .baseline)
      let scores = try quantizer.scores(latents, instructions: .baseline)
      for set in InstructionSet.allCases where set.isSupported {
        #expect(try quantizer.quantize(latents, instructions: set) == expected)
        #expect(try quantizer.scores(latents, instructions: set) == scores)
      }
      for position in 0..<count {
        let row = scores[position * codes..<(position + 1) * codes]
        let best = row.max() ?? 0
        let found = row[row.startIndex + Int(expected.codes[position])]
        #expect(best - found < 1e-4)
      }
    }
  }

  @Test(arguments: 33..<64)
  func rowsWhoseScoreIsNoNumberHideNoOther(_ best: Int) throws {
    // Row 32 gives infinity minus infinity; kernels compare several rows at a time.
    var rows = [Float](repeating: 0, count: 64) + [Float](repeating: -5, count: 64)
    rows[64] = 3e38
    rows[65] = -3e38
    rows[2 * best] = 10
    rows[2 * best + 1] = 10
    let codebook = try Codebook(count: 64, dimensions: 2, values: rows)
    let quantizer = try VectorQuantizer(rule: .l2, codebook: codebook)
    for set in InstructionSet.allCases where set.isSupported {
      #expect(try quantizer.quantize([10, 10], instructions: set).codes == [UInt32(best)])
    }
  }

  @Test func anySplitGivesTheSameCodes() throws {
    let rows = Self.numbers(50 * 4, seed: 3)
    let codebook = try Codebook(count: 100, dimensions: 4, values: rows + rows)
    let quantizer = Quantizer.vector(try VectorQuantizer(rule: .l2, codebook: codebook))
    let latents = Self.numbers(301 * 4, seed: 4)
    let whole = try quantizer.quantize(latents)
    #expect(whole.codes.allSatisfy { $0 < 50 })
    #expect(whole.margins.allSatisfy { $0 == 0 })
    for size in [1, 3, 64, 100] {
      let parts = try stride(from: 0, to: 301, by: size).map { start in
        try quantizer.quantize(Array(latents[start * 4..<min(301, start + size) * 4]))
      }
      #expect(parts.flatMap(\.codes) == whole.codes)
    }
  }

  @Test func gridsOfSeveralCodesAPosition() throws {
    let signs = Quantizer.binary(try BinaryQuantizer(kind: .lfq, order: .big, dimensions: 2))
    let grouped = Quantizer.grouped(try GroupedQuantizer(groups: [signs, signs, signs]))
    let latents = LatentGrid(height: 2, width: 3, values: Self.numbers(2 * 3 * 6, seed: 5))
    let (grid, margins) = try grouped.quantize(latents)
    #expect(grid.shape == [2, 3, 3] && margins.count == 18)
    #expect(grouped.vocabularySizes == [4, 4, 4] && grouped.dimensions == 6)
    let values = try grouped.values(of: grid)
    #expect(zip(values, latents.values).allSatisfy { ($0 > 0) == ($1 > 0) })
    let flat = CodeGrid(height: 2, width: 3, shape: [18], codes: grid.codes)
    #expect(throws: TesseraError.self) { try grouped.values(of: flat) }
  }

  @Test func multiScaleGrids() throws {
    let codebook = try Codebook(count: 64, dimensions: 2, values: Self.numbers(128, seed: 6))
    let vector = try VectorQuantizer(rule: .l2, codebook: codebook)
    let scales = try MultiScaleQuantizer(scales: [1, 2, 4], quantizer: vector, refinement: nil)
    let quantizer = Quantizer.multiScale(scales)
    let latents = LatentGrid(height: 4, width: 4, values: Self.numbers(32, seed: 7))
    let (grid, _) = try quantizer.quantize(latents)
    #expect(grid.shape == [21] && !grid.isSpatial)
    #expect(try quantizer.values(of: grid).count == 32)
    let wide = LatentGrid(height: 4, width: 8, values: Self.numbers(64, seed: 8))
    #expect(throws: TesseraError.self) { try quantizer.quantize(wide) }
    #expect(throws: TesseraError.self) { try quantizer.quantize(latents.values) }
  }

  @Test func softCodesContainTheHardCode() throws {
    let fsq = Quantizer.finiteScalar(
      try FiniteScalarQuantizer(variant: .atanh, levels: [8, 5, 5])
    )
    let lfq = Quantizer.binary(try BinaryQuantizer(kind: .bsq, order: .big, dimensions: 6))
    let little = Quantizer.binary(try BinaryQuantizer(kind: .lfq, order: .little, dimensions: 6))
    for (quantizer, width) in [(fsq, 3), (lfq, 6), (little, 6)] {
      let latents = Self.numbers(50 * width, seed: 9)
      let hard = try quantizer.quantize(latents).codes
      let one = try quantizer.softCodes(latents, map: .topK(1), temperature: 1)
      #expect(one.codes == hard)
      #expect(one.starts == (0...50).map { Int64($0) })
      let soft = try quantizer.softCodes(latents, map: .entmax(1.5), temperature: 0.1)
      for position in 0..<50 {
        let range = Int(soft.starts[position])..<Int(soft.starts[position + 1])
        let best = range.max { soft.values[$0] < soft.values[$1] }
        #expect(best.map { soft.codes[$0] } == hard[position])
        #expect(abs(soft.values[range].reduce(0, +) - 1) < 1e-5)
      }
      // A cold draw is the hard code.
      let random = CounterRandom(seed: 1, sample: 2)
      #expect(try quantizer.draw(latents, temperature: 1e-7, random: random) == hard)
    }
  }

  @Test func levels() throws {
    #expect(try LevelRecommendation(target: 1 << 14).levels == [8, 8, 8, 6, 5])
    #expect(try LevelRecommendation(target: 64_000).levels.reduce(1, *) == 64_000)
    let odd = try LevelRecommendation(target: 3000)
    #expect(odd.levels.allSatisfy { (5...8).contains($0) } && odd.warnings.isEmpty)
    #expect(try LevelRecommendation(levels: [8, 4, 2]).warnings.count == 2)
    #expect(try LevelRecommendation(levels: [64, 64], fitting: .uint8).warnings.count == 1)
    #expect(throws: TesseraError.self) { try LevelRecommendation(target: 1) }
  }

  @Test func otherNumbers() throws {
    let step = try #require(
      try QuantizerSpecification.binary(
        BinaryQuantizer(kind: .lfq, order: .big, dimensions: 5)
      ).step(to: .little)
    )
    let map = try CompactMap([25, 0, 3])
    let plan = try CodeReindexing([step, .compact(map), .offset(100)], vocabularySize: 32)
    // 10011 from the other end is 11001.
    #expect(try plan.apply([19, 0, 24]) == [100, 101, 102])
    #expect(try plan.undo([100, 101, 102]) == [19, 0, 24])
    #expect(throws: TesseraError.self) { try plan.apply([1]) }
    #expect(throws: TesseraError.self) { try plan.undo([103]) }
    #expect(throws: TesseraError.self) { try plan.undo([99]) }
    let fsq = try FiniteScalarQuantizer(variant: .atanh, levels: [8, 5])
    let other = try FiniteScalarQuantizer(variant: .paperTan, levels: [8, 5])
    #expect(throws: TesseraError.self) {
      try QuantizerSpecification.finiteScalar(fsq).step(to: .finiteScalar(other))
    }
  }
}
