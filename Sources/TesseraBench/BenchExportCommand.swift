import ArgumentParser
import Foundation
import TesseraDatasets

/// The writer of one layout alone: its samples wait in memory.
struct BenchExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write the samples of a dataset in a layout, their reading not timed.",
    discussion: """
      EXAMPLE: tessera-bench export dataset --format mds -o /dev/shm/mds

      All samples are held in memory. The time is that from the first sample to the last index, with
      the files' SHA-256 and their way to the disk.
      """
  )

  @Argument(help: "The folder of a finished dataset.", completion: .directory)
  var dataset: String

  @Option(help: "The layout of the files.")
  var format: DatasetFormat

  @Option(
    name: .shortAndLong,
    help: "A folder that does not exist yet; it is removed again.",
    completion: .directory
  )
  var output: String

  func run() throws {
    let rows = try rows()
    var samples: [DatasetRow] = []
    try rows.forEach { samples.append($0) }
    guard !FileManager.default.fileExists(atPath: output) else {
      throw ValidationError("--output: \(output) exists; name a new folder")
    }
    try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: output) }
    let stage = DatasetStage(folder: output)
    let settings = DatasetExportSettings(usualFor: format)
    let clock = ContinuousClock()
    let time = try clock.measure {
      var writer = try format.writer(for: rows.table, settings: settings, into: stage)
      for sample in samples { try writer.append(sample) }
      try writer.finish()
    }
    let report = BenchExportReport(
      format: format.rawValue,
      samples: samples.count,
      bytes: stage.shards.reduce(0) { $0 + $1.bytes } + stage.files.reduce(0) { $0 + $1.bytes },
      seconds: time / .seconds(1)
    )
    Figures.note(
      "\(report.format): \(report.samples) samples, \(Int(report.megabytesPerSecond)) MB/s"
    )
    try Figures.report(report)
  }

  /// The samples with the columns that the layout has a place for.
  private func rows() throws -> any DatasetRows {
    let rows = try TokenDataset(path: dataset).rows()
    let omitted = format.omitted(from: rows.table)
    let kept = Set(rows.table.columns.map(\.name)).subtracting(omitted)
    return SelectedRows(rows, keeping: kept)
  }
}

private struct BenchExportReport: Encodable {
  let format: String
  let samples: Int
  let bytes: Int
  let seconds: Double

  var megabytesPerSecond: Double { Double(bytes) / seconds / 1e6 }

  enum CodingKeys: String, CodingKey {
    case format, samples, bytes, seconds
  }
}
