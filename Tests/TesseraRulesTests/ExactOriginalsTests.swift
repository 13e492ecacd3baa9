import Fixtures
import TesseraCheckpoints
import TesseraCore
import TesseraRules
import Testing

@Suite struct ExactOriginalsTests {
  private let values: [Float] = [0.1, -2.7, 3.3, 1e-30, 0, 7]
  private let folder: TemporaryFolder
  private let source: SafetensorsCheckpoint
  private let result: String

  init() throws {
    folder = try TemporaryFolder()
    let path = "\(folder.path)/in.safetensors"
    let rounded = (name: "x", tensor: Tensor(shape: [2, 3], floats: values))
    let count = (name: "n", tensor: Tensor(shape: [1], elements: [5] as [Int64]))
    try CheckpointFile.write([rounded, count], to: path)
    source = try SafetensorsCheckpoint(path: path)
    result = "\(folder.path)/out.safetensors"
  }

  private func plan(_ checkpoint: any CheckpointReader, _ type: ElementType) throws
    -> ConversionPlan
  {
    try ConversionPlan(ConversionRules(keeping: checkpoint), of: checkpoint).casting(to: type)
  }

  /// Converts to bfloat16 and keeps what that rounds.
  private func convert() async throws {
    let plan = try plan(source, .bfloat16)
    var conversion = CheckpointConversion(of: source, plan: plan)
    conversion.rounded = ExactOriginals.rounded(by: plan) { $0.reversibility == .exact }
    #expect(conversion.rounded == ["x": ["x"]])
    let files = try await conversion.write(to: result)
    #expect(files.all == [result, ExactOriginals.path(beside: result)])
  }

  @Test func `where one of the two cannot appear, neither does`() async throws {
    let kept = ExactOriginals.path(beside: result)
    var other = try AtomicFile(path: kept)
    try other.write([1])
    await #expect(throws: TesseraError.self) { try await convert() }
    #expect(!folder.names.contains("out.safetensors"))
    try other.commit()
    #expect(Set(folder.names) == ["in.safetensors", "out.safetensors.exact.safetensors"])
  }

  @Test func `what was rounded comes back where its type does, and only there`() async throws {
    try await convert()
    let middle = try Checkpoint.open(result)
    let originals = try #require(try ExactOriginals.beside(result))
    let back = originals.restoring(try plan(middle, .float32))
    #expect(ExactOriginals.areUsed(by: back))
    let joined = originals.joined(to: middle)
    let path = "\(folder.path)/back.safetensors"
    _ = try await CheckpointConversion(of: joined, plan: back).write(to: path)
    let after = try SafetensorsCheckpoint(path: path)
    #expect(try bytes("x", of: after) == Tensor(shape: [2, 3], floats: values).bytes)
    #expect(!ExactOriginals.areUsed(by: originals.restoring(try plan(middle, .bfloat16))))
    #expect(!ExactOriginals.areUsed(by: originals.restoring(try plan(middle, .float16))))
  }

  @Test func `a result that has changed is not replaced`() async throws {
    try await convert()
    let other = Tensor(shape: [2, 3], floats: values.map { $0 + 1 })
    try CheckpointFile.write([(name: "x", tensor: other)], to: result)
    let middle = try Checkpoint.open(result)
    let originals = try #require(try ExactOriginals.beside(result))
    let back = originals.restoring(try plan(middle, .bfloat16).casting(to: .float32))
    let joined = originals.joined(to: middle)
    let conversion = CheckpointConversion(of: joined, plan: back)
    let error = await #expect(throws: TesseraError.self) {
      _ = try await conversion.write(to: "\(folder.path)/back.safetensors")
    }
    #expect(error?.kind == .mismatch)
    #expect(error?.description.contains("'x' has changed since") == true)
    #expect(!folder.names.contains("back.safetensors"))
  }

  @Test func `another file of that name is refused, none is none`() throws {
    #expect(try ExactOriginals.beside(result) == nil)
    let one = (name: "x", tensor: Tensor(shape: [1], floats: [1]))
    try CheckpointFile.write([one], to: ExactOriginals.path(beside: result))
    let error = #expect(throws: TesseraError.self) { try ExactOriginals.beside(result) }
    #expect(error?.kind == .malformedInput)
  }
}
