import ArgumentParser
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// `tessera-bench convert`: how fast tensors pass from file to file, as they lie and transposed.
struct BenchConvertCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Measure conversion: copies and transpositions, medians in GB/s.",
    discussion: """
      EXAMPLE
        tessera-bench convert --mebibytes 1024

      Makes a float32 checkpoint in the temporary folder and removes it afterwards. \
      scripts/bench_convert.py runs h5py and safetensors beside `convert`.
      """
  )

  @Option(help: "The size of the checkpoint.")
  var mebibytes = 256

  @Option(help: "How often each case is run.")
  var repeats = 5

  func validate() throws {
    guard (1...1 << 20).contains(mebibytes), (1...1000).contains(repeats) else {
      throw ValidationError("--mebibytes is 1 to 1048576, --repeats 1 to 1000.")
    }
  }

  /// One line of the result.
  private struct Measurement: Encodable {
    let bench: String
    let mebibytes: Int
    let repeats: Int
    let gigabytesPerSecond: Double

    enum CodingKeys: String, CodingKey {
      case bench, mebibytes, repeats
      case gigabytesPerSecond = "gigabytes_per_second"
    }
  }

  func run() async throws {
    let folder = NSTemporaryDirectory() + "tessera-bench-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let checkpoint = try makeCheckpoint(at: "\(folder)/in.safetensors")
    for (name, operations) in [("identity", []), ("transpose", [TensorOperation.transpose])] {
      var rules = ConversionRules(recipe: "bench/1")
      rules.rules = checkpoint.tensors.map { ConversionRule($0, operations, to: $0.name) }
      let conversion = CheckpointConversion(
        of: checkpoint,
        sourceFiles: checkpoint.files,
        plan: try ConversionPlan(rules, of: checkpoint),
        toolVersion: ToolVersion.current
      )
      var seconds: [Double] = []
      for _ in 0..<repeats {
        let start = ContinuousClock.now
        _ = try await conversion.write(to: "\(folder)/out.safetensors")
        seconds.append((ContinuousClock.now - start) / .seconds(1))
      }
      let median = seconds.sorted()[repeats / 2]
      let measurement = Measurement(
        bench: "convert \(name)",
        mebibytes: mebibytes,
        repeats: repeats,
        gigabytesPerSecond: Double(conversion.plan.byteCount) / median / 1e9
      )
      try StandardOutput.write(
        String(decoding: try CanonicalJSON.line(measurement), as: UTF8.self)
      )
    }
  }

  /// Eight matrices of 4096 columns.
  private func makeCheckpoint(at path: String) throws -> SafetensorsCheckpoint {
    let rows = max(1, (mebibytes << 20) / 8 / 4 / 4096)
    let tensors = (0..<8).map { number in
      TensorInfo(name: "layer_\(number)", elementType: .float32, shape: [rows, 4096])
    }
    let layout = try SafetensorsLayout(tensors: tensors, metadata: [:])
    let file = try SafetensorsFile(path: path, layout: layout)
    let row = (0..<4096 * 4).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    for entry in layout.entries {
      for number in 0..<rows {
        try row.withUnsafeBytes { bytes in
          try file.write(bytes, at: number * row.count, of: entry)
        }
      }
    }
    try file.commit()
    return try SafetensorsCheckpoint(path: path)
  }
}
