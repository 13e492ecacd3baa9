import TesseraCheckpoints
import TesseraCore
import TesseraRules
import Testing

@Suite struct TensorOperationTests {
  private func store(_ shape: Shape, _ type: ElementType = .float32) throws -> StoredTensors {
    try StoredTensors([TensorInfo(name: "x", elementType: type, shape: shape)])
  }

  private func convert(
    _ stored: StoredTensors,
    _ operations: [TensorOperation],
    to targets: [String] = ["y"]
  ) async throws -> SafetensorsCheckpoint {
    var rules = ConversionRules(recipe: "test/1")
    let source = try #require(stored["x"])
    rules.rules = [ConversionRule(sources: [source], operations: operations, targets: targets)]
    return try await stored.converted(by: rules)
  }

  @Test(arguments: [
    ([5], [0]), ([3, 4], [1, 0]), ([1, 7], [1, 0]), ([17, 33], [1, 0]),
    ([2, 3, 5], [2, 1, 0]), ([2, 3, 5], [1, 2, 0]), ([3, 3, 4, 6], [3, 2, 0, 1]),
    ([3, 2, 5, 1], [2, 3, 0, 1]), ([2, 3, 2, 5, 3], [4, 3, 0, 1, 2]), ([40, 1, 19], [2, 1, 0]),
    ([0, 4], [1, 0]), ([], []),
  ])
  func `a permutation moves each element where its definition says`(
    shape: [Int],
    axes: [Int]
  ) async throws {
    for type in [ElementType.uint8, .float16, .float32, .float64] {
      let stored = try store(Shape(shape), type)
      let result = try await convert(stored, [.permute(axes)])
      let source = try bytes("x", of: stored.checkpoint)
      let expected = permuted(source, shape, axes, width: type.bitWidth / 8)
      #expect(try bytes("y", of: result) == expected)
      #expect(result.tensors.map(\.shape) == [Shape(axes.map { shape[$0] })])
    }
  }

  @Test(arguments: [
    ([2100, 2300], [1, 0]), ([1_500_000, 3], [1, 0]), ([3, 1_500_000], [1, 0]),
    ([3, 3, 600, 900], [3, 2, 0, 1]), ([700, 90, 80], [1, 0, 2]),
  ])
  func `tensors larger than a tile are permuted the same`(
    shape: [Int],
    axes: [Int]
  ) async throws {
    let stored = try store(Shape(shape))
    let result = try await convert(stored, [.permute(axes)])
    let source = try bytes("x", of: stored.checkpoint)
    #expect(try bytes("y", of: result) == permuted(source, shape, axes, width: 4))
  }

  @Test func `what is computed of a list is computed of each of its tensors`() async throws {
    let stored = try store([4, 3, 2])
    let result = try await convert(
      stored,
      [.split(axis: 0, sizes: [2, 2]), .viewComplex, .conjugatePairs(axis: 0)],
      to: ["y", "z"]
    )
    let source = try bytes("x", of: stored.checkpoint)
    for (name, part) in [("y", source.prefix(48)), ("z", source.suffix(48))] {
      let turned = part.enumerated().map { $0.offset % 8 == 7 ? $0.element ^ 0x80 : $0.element }
      #expect(try bytes(name, of: result) == Array(part) + turned)
    }
  }

  @Test(
    arguments: [
      [.permute([2, 0, 1])],
      [.reshape(from: [4, 6, 5], to: [24, 5]), .transpose],
      [.permute([1, 2, 0]), .reshape(from: [6, 5, 4], to: [30, 4])],
      [.permuteBlocks(axis: 1, order: [2, 0, 1])],
      [.permuteBlocks(axis: 0, order: [1, 0]), .permute([1, 0, 2])],
      [.permuteBlocks(axis: 1, order: [1, 0]), .permuteBlocks(axis: 1, order: [1, 0])],
      [.split(axis: 1, sizes: [1, 2, 3]), .permute([2, 1, 0])],
      [.split(axis: 0, sizes: [3, 1]), .permuteBlocks(axis: 2, order: [0, 4, 1, 3, 2])],
      [.permuteBlocks(axis: 1, order: [2, 0, 1]), .split(axis: 1, sizes: [2, 2, 2])],
    ] as [[TensorOperation]]
  )
  func `the inverses in reverse order give the same bytes`(
    operations: [TensorOperation]
  ) async throws {
    let stored = try store([4, 6, 5])
    let inverse = operations.reversed().map(\.inverse)
    let result = try await convert(stored, operations + inverse)
    #expect(try bytes("y", of: result) == bytes("x", of: stored.checkpoint))
    #expect(result.tensors.map(\.shape) == [[4, 6, 5]])
    #expect(operations.map(\.inverse.inverse) == operations)
  }

  @Test func `blocks and parts are the ones named`() async throws {
    // Row 1 of [2, 6]: elements 6 to 11; its blocks are 6 7, 8 9, 10 11.
    let stored = try store([2, 6], .uint8)
    let result = try await convert(
      stored,
      [
        .split(axis: 0, sizes: [1, 1]), .reshape(from: [1, 6], to: [6]),
        .permuteBlocks(axis: 0, order: [1, 0, 2]),
      ],
      to: ["a", "b"]
    )
    #expect(try bytes("a", of: result) == [2, 3, 0, 1, 4, 5].map { $0 * 7 })
    #expect(try bytes("b", of: result) == [8, 9, 6, 7, 10, 11].map { $0 * 7 })
  }

  @Test func `shapes that do not fit are refused`() {
    let shape: Shape = [4, 6]
    for operation: TensorOperation in [
      .permute([0]), .permute([0, 0]), .permute([0, 1, 2]), .reshape(from: [4, 6], to: [5, 5]),
      .reshape(from: [6, 4], to: [24]), .permuteBlocks(axis: 1, order: [0, 1, 2, 3]),
      .permuteBlocks(axis: 2, order: [0]), .permuteBlocks(axis: 0, order: [1, 1]),
      .split(axis: 0, sizes: [1, 2]), .split(axis: -1, sizes: [4]),
      .concatenate(axis: 0, sizes: [2, 2]),
    ] {
      #expect(throws: TesseraError.self) { try operation.shapes(after: [shape]) }
    }
  }

  @Test func `six-bit elements are copied and never reordered`() async throws {
    let stored = try store([4, 4], .float6E2M3)
    let result = try await stored.converted(by: ConversionRules(keeping: stored.checkpoint))
    #expect(try bytes("x", of: result) == bytes("x", of: stored.checkpoint))
    await #expect(throws: TesseraError.self) { try await convert(stored, [.transpose]) }
  }
}
