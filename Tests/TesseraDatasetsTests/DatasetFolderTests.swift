import Foundation
import TesseraCore
import TesseraDatasets
import TesseraImages
import Testing

@Suite struct DatasetFolderTests {
  @Test func `samples and rejections add up to the inputs`() async throws {
    let numbers = try Numbers(count: 25)
    let files = try await numbers.finished("out")
    let shards = (0...2).map { "shards/0000\($0).tar" }
    let energon = [".info.json", "split.yaml", "dataset.yaml"].map { ".nv-meta/" + $0 }
    let indices = energon + ["wids.json"]
    let others = shards.map { $0 + ".idx" } + indices + ["dataset.json", "rejected.jsonl"]
    #expect(Set(files.keys) == Set(shards + others))
    let manifest = try JSONDecoder().decode(
      DatasetManifest.self,
      from: try #require(files["dataset.json"])
    )
    #expect(manifest.samples == 21)
    #expect(manifest.rejected == 4)
    #expect(manifest.shards.map(\.samples) == [9, 8, 4])
    #expect(manifest.shards.map(\.bytes) == shards.map { files[$0]?.count })
    let rejected = String(decoding: try #require(files["rejected.jsonl"]), as: UTF8.self)
      .split(separator: "\n")
    #expect(rejected.first == #"{"reason":"3 leaves 3 by 7","source":"0003.png","stage":"decode"}"#)
    #expect(rejected.count == 4)
  }

  @Test(arguments: [2, 4, 16])
  func `the number of workers changes no byte`(workers: Int) async throws {
    let numbers = try Numbers(count: 33)
    let one = try await numbers.finished("one")
    #expect(try await numbers.finished("more", workers: workers) == one)
  }

  @Test func `shards run in any order, twice, or at once, give the same bytes`() async throws {
    let numbers = try Numbers(count: 33)
    let folder = DatasetFolder("\(numbers.root)/out")
    _ = try folder.prepare(numbers.plan, inputs: numbers.inputs)
    try await numbers.run([3, 1, 3, 0], in: folder)
    async let left: Void = numbers.run([2], in: folder)
    async let right: Void = numbers.run([2], in: folder)
    _ = try await (left, right)
    _ = try folder.finish()
    #expect(try numbers.contents(folder.path) == (try await numbers.finished("straight")))
  }

  @Test func `a plan found again is continued, a finished one is complete`() async throws {
    let numbers = try Numbers(count: 12)
    let folder = DatasetFolder("\(numbers.root)/out")
    _ = try folder.prepare(numbers.plan, inputs: numbers.inputs)
    try await numbers.run([0], in: folder)
    guard case .planned(let plan) = try folder.prepare(numbers.plan, inputs: numbers.inputs) else {
      Issue.record("the plan is gone")
      return
    }
    #expect(plan == numbers.plan)
    #expect(try folder.record(ofShard: 0)?.shard.samples == 9)
    #expect(try folder.record(ofShard: 1) == nil)
    #expect(throws: TesseraError.unfinished(folder: folder.path, shards: [1])) {
      try folder.finish()
    }
    try await numbers.run([1], in: folder)
    let manifest = try folder.finish()
    guard case .complete(let found) = try folder.prepare(numbers.plan, inputs: numbers.inputs)
    else {
      Issue.record("the dataset is not complete")
      return
    }
    #expect(found == manifest)
    #expect(try folder.finish() == manifest)
  }

  @Test func `a shard that changed its size after it was done is run again`() async throws {
    let numbers = try Numbers(count: 12)
    let folder = DatasetFolder("\(numbers.root)/out")
    _ = try folder.prepare(numbers.plan, inputs: numbers.inputs)
    try await numbers.run([0, 1], in: folder)
    try Data("cut".utf8).write(to: URL(filePath: "\(folder.path)/shards/00001.tar"))
    #expect(try folder.record(ofShard: 1) == nil)
    #expect(throws: TesseraError.unfinished(folder: folder.path, shards: [1])) {
      try folder.finish()
    }
  }

  @Test func `a folder with other things in it is refused and left as it is`() throws {
    let numbers = try Numbers(count: 3)
    let folder = DatasetFolder(numbers.root + "/in")
    let before = try numbers.contents(folder.path)
    #expect(throws: TesseraError.foreign(folder: folder.path, entry: "0000.png")) {
      try folder.prepare(numbers.plan, inputs: numbers.inputs)
    }
    #expect(try numbers.contents(folder.path) == before)
  }

  @Test(arguments: [false, true])
  func `a folder with another plan's work is refused and left as it is`(
    isFinished: Bool
  ) async throws {
    let numbers = try Numbers(count: 3)
    let folder = DatasetFolder(numbers.root + "/out")
    _ = try folder.prepare(numbers.plan, inputs: numbers.inputs)
    try await numbers.run([0], in: folder)
    if isFinished { _ = try folder.finish() }
    let before = try numbers.contents(folder.path)
    let other = try DatasetPlan(
      settings: Numbers.settings(shardSamples: 10, positions: "tie"),
      tokenizer: "numbers",
      inputs: numbers.inputs
    )
    let difference = #"positions: "none" there, "tie" here"#
    #expect(throws: TesseraError.otherPlan(folder: folder.path, difference: difference)) {
      try folder.prepare(other, inputs: numbers.inputs)
    }
    let fewer = try DatasetPlan(
      settings: numbers.plan.settings,
      tokenizer: "numbers",
      inputs: numbers.inputs.dropLast()
    )
    #expect(throws: TesseraError.otherPlan(folder: folder.path, difference: "other inputs")) {
      try folder.prepare(fewer, inputs: numbers.inputs.dropLast())
    }
    #expect(try numbers.contents(folder.path) == before)
  }

  @Test func `finishing cleans up after killed runs`() async throws {
    let numbers = try Numbers(count: 3)
    let folder = DatasetFolder(numbers.root + "/out")
    let draft = "\(folder.path)/.tessera/draft-1"
    try FileManager.default.createDirectory(atPath: draft, withIntermediateDirectories: true)
    _ = try folder.prepare(numbers.plan, inputs: numbers.inputs)
    try Data("x".utf8).write(to: URL(filePath: "\(folder.path)/shards/.partial-0123456789abcdef-1"))
    try Data("x".utf8).write(to: URL(filePath: "\(folder.path)/.partial-fedcba9876543210"))
    try await numbers.run([0], in: folder)
    _ = try folder.finish()
    #expect(try numbers.contents(folder.path) == (try await numbers.finished("straight")))
  }

  @Test func `a run killed while it planned is begun anew`() async throws {
    let numbers = try Numbers(count: 3)
    let folder = DatasetFolder(numbers.root + "/out")
    for left in [".tessera/draft-1", ".tessera/journal", "shards"] {
      try FileManager.default.createDirectory(
        atPath: "\(folder.path)/\(left)",
        withIntermediateDirectories: true
      )
    }
    #expect(try await numbers.finished("out") == (try await numbers.finished("straight")))
    let other = DatasetFolder(numbers.root + "/other")
    try FileManager.default.createDirectory(
      atPath: other.path + "/shards/mine",
      withIntermediateDirectories: true
    )
    #expect(throws: TesseraError.foreign(folder: other.path, entry: "shards")) {
      try other.prepare(numbers.plan, inputs: numbers.inputs)
    }
  }

  @Test func `images that moved are read from their new place`() async throws {
    let numbers = try Numbers(count: 3)
    let folder = DatasetFolder(numbers.root + "/out")
    _ = try folder.prepare(numbers.plan, inputs: numbers.inputs)
    try FileManager.default.moveItem(atPath: numbers.root + "/in", toPath: numbers.root + "/moved")
    let moved = try ImageInputs.collect([numbers.root + "/moved"]).inputs.map { PlannedInput($0) }
    let plan = try DatasetPlan(
      settings: numbers.plan.settings,
      tokenizer: "numbers",
      inputs: moved
    )
    #expect(plan.digest == numbers.plan.digest)
    _ = try folder.prepare(plan, inputs: moved)
    #expect(try folder.inputs(ofShard: 0) == moved)
  }

  @Test func `a shard that the plan does not have is refused`() async throws {
    let numbers = try Numbers(count: 3)
    let folder = DatasetFolder(numbers.root + "/out")
    _ = try folder.prepare(numbers.plan, inputs: numbers.inputs)
    await #expect(
      throws: TesseraError.noSuchShard(folder: folder.path, shard: 1, count: 1)
    ) { try await numbers.run([1], in: folder) }
  }
}
