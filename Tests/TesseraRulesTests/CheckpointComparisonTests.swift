import Fixtures
import TesseraCheckpoints
import TesseraCore
import TesseraRules
import Testing

@Suite struct CheckpointComparisonTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func checkpoint(_ name: String, _ tensors: [(String, Tensor)]) throws
    -> SafetensorsCheckpoint
  {
    let path = "\(folder.path)/\(name).safetensors"
    try CheckpointFile.write(tensors.map { (name: $0.0, tensor: $0.1) }, to: path)
    return try SafetensorsCheckpoint(path: path)
  }

  private func compare(
    _ a: [(String, Tensor)],
    _ b: [(String, Tensor)]
  ) async throws -> CheckpointComparison {
    let source = try checkpoint("a", a)
    let plan = try ConversionPlan(ConversionRules(keeping: source), of: source)
    return try await CheckpointComparison.compare(plan, of: source, with: checkpoint("b", b))
  }

  @Test func `the greatest difference, its place and the number of differences are found`()
    async throws
  {
    var values = [Float](repeating: 1, count: 5000)
    let a = Tensor(shape: [50, 100], floats: values)
    (values[1234], values[4000], values[7]) = (1.5, 0.25, .nan)
    let b = Tensor(shape: [50, 100], floats: values)
    let result = try await compare([("x", a)], [("x", b)])
    let difference = try #require(result.tensors.first?.difference)
    #expect(difference.differing == 3)
    #expect(difference.elements == 5000)
    #expect(difference.firstDifference == 7)
    #expect(difference.maximumError == .infinity)
    #expect(!difference.areBytesEqual)
  }

  @Test func `other types with the same values differ in bytes alone`() async throws {
    let wide = Tensor(shape: [3], elements: [1.0, -2.5, 1e300] as [Double])
    let narrow = Tensor(shape: [3], elements: [1, -2.5, 4] as [Float])
    let result = try await compare([("x", wide)], [("x", narrow)])
    let difference = try #require(result.tensors.first?.difference)
    #expect(difference.differing == 1)
    #expect(difference.firstDifference == 2)
    #expect(difference.maximumRelativeError == 1)
  }

  @Test func `not-a-number equals itself and integers beyond 2^53 are told apart`() async throws {
    let nan = Tensor(shape: [1], elements: [Float(bitPattern: 0x7FC0_0001)])
    let other = Tensor(shape: [1], elements: [Float.nan])
    let big = Tensor(shape: [1], elements: [1 << 60] as [Int64])
    let next = Tensor(shape: [1], elements: [1 << 60 + 1] as [Int64])
    let result = try await compare([("n", nan), ("i", big)], [("n", other), ("i", next)])
    let byName = Dictionary(uniqueKeysWithValues: result.tensors.map { ($0.name, $0.difference) })
    #expect(byName["n"]??.differing == 0)
    #expect(byName["i"]??.differing == 1)
  }

  @Test func `names and shapes are compared first`() async throws {
    let one = Tensor(shape: [1], floats: [1])
    let row = Tensor(shape: [1, 1], floats: [1])
    let result = try await compare([("x", one), ("y", one)], [("x", row), ("z", one)])
    #expect(result.tensors.map(\.name) == ["x"])
    #expect(result.tensors.first?.difference == nil)
    #expect(result.missing == ["y"])
    #expect(result.extra == ["z"])
  }
}
