import Foundation
import TesseraDatasets
import TesseraImages
import TesseraTokenizers

/// A folder of numbered files, a plan of them, and a sample maker that needs no network: the code of
/// a file is its number, and every seventh file is rejected.
struct Numbers {
  let root: String
  let inputs: [PlannedInput]
  let plan: DatasetPlan

  init(count: Int, shardSamples: Int = 10, positions: String = "none") throws {
    root = NSTemporaryDirectory() + "/tessera-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: root + "/in",
      withIntermediateDirectories: true
    )
    for number in 0..<count {
      let name = String(repeating: "0", count: 4 - "\(number)".count) + "\(number).png"
      try Data("\(number)".utf8).write(to: URL(filePath: "\(root)/in/\(name)"))
    }
    inputs = try ImageInputs.collect([root + "/in"]).inputs.map { PlannedInput($0) }
    plan = try DatasetPlan(
      settings: Self.settings(shardSamples: shardSamples, positions: positions),
      tokenizer: "numbers",
      inputs: inputs
    )
  }

  static func settings(shardSamples: Int, positions: String) throws -> DatasetSettings {
    try DatasetSettings(
      tokenizer: TokenizerIdentity(
        name: "numbers",
        family: "test",
        sha256: String(repeating: "0", count: 64),
        vocabularySize: 1000,
        quantizer: ["kind": "none"]
      ),
      vocabularyOffset: 0,
      positions: positions,
      latents: false,
      preprocessing: ["resize": "none"],
      pixelLimit: 1000,
      shardSamples: shardSamples,
      toolVersion: "test"
    )
  }

  @concurrent @Sendable
  static func sample(_ input: PlannedInput) async throws -> SampleOutcome {
    let bytes = try input.image.bytes(maximumBytes: 100)
    let number = UInt32(String(decoding: bytes, as: UTF8.self)) ?? 0
    // Later inputs finish first.
    if number % 3 == 0 { await Task.yield() }
    if number % 7 == 3 {
      let reason = "\(number) leaves 3 by 7"
      return .rejected(Rejection(source: input.image.source, stage: .decode, reason: reason))
    }
    let description = try description(input.image.key, of: input.image.source, side: 1)
    let codes = TokenSample.codeTensor(
      CodeGrid(height: 1, width: 1, codes: [number]),
      vocabularySize: 1000,
      offset: 0
    )
    return .sample(TokenSample(description: description, codes: codes))
  }

  func run(_ shards: some Sequence<Int>, in folder: DatasetFolder, workers: Int = 1) async throws {
    for shard in shards {
      _ = try await folder.run(
        shard: shard,
        of: plan,
        workers: workers,
        sample: Self.sample
      )
    }
  }

  func finished(_ name: String, workers: Int = 1) async throws -> [String: Data] {
    let folder = DatasetFolder("\(root)/\(name)")
    _ = try folder.prepare(plan, inputs: inputs)
    try await run(0..<plan.shardCount, in: folder, workers: workers)
    _ = try folder.finish()
    return try contents(folder.path)
  }

  /// Every file below a folder.
  func contents(_ folder: String) throws -> [String: Data] {
    var files: [String: Data] = [:]
    for name in FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? [] {
      var isFolder: ObjCBool = false
      let path = "\(folder)/\(name)"
      _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      if !isFolder.boolValue { files[name] = try Data(contentsOf: URL(filePath: path)) }
    }
    return files
  }
}

/// The description of a square picture of which one code was made.
func description(_ key: String, of source: String, side: Int) throws -> SampleDescription {
  let json = """
    {"key": "\(key)", "source": "\(source)", "sha256": "\(String(repeating: "1", count: 64))",
    "size": [\(side), \(side)], "orientation": 1, "resized": [\(side), \(side)],
    "crop": [0, 0, \(side), \(side)], "grid": [1, 1]}
    """
  return try JSONDecoder().decode(SampleDescription.self, from: Data(json.utf8))
}
