import TesseraCore
import TesseraDatasets
import TesseraImages

extension FuzzTarget {
  /// Lists of captions, and captions beside the images.
  static let captions: [FuzzTarget] = [
    list("captions-csv", "captions.csv"), list("captions-tsv", "captions.tsv"),
    list("captions-jsonl", "captions.jsonl"), list("captions-parquet", "captions.parquet"),
    FuzzTarget(name: "captions-sidecar", form: .folder) { path in
      let inputs = ["a.png", "b.jpg"].map { name in
        ImageInput(key: "key", source: name, location: .file(root: path))
      }
      let captions = try CaptionSource.sidecar.captions(of: inputs)
      for (index, input) in inputs.enumerated() {
        try refusing { _ = try captions.caption(of: input, at: index) }
      }
    },
  ]

  private static func list(_ name: String, _ file: String) -> FuzzTarget {
    FuzzTarget(name: name, form: .file(file)) { path in
      // A table none of whose rows is of a picture is refused.
      let inputs = ["a.png", "0-a.png"].map { name in
        ImageInput(key: name, source: name, location: .path("/nowhere/\(name)"))
      }
      let captions = try CaptionSource(manifest: path).captions(of: inputs)
      for (index, input) in inputs.enumerated() {
        try refusing { _ = try captions.caption(of: input, at: index) }
      }
    }
  }

  /// Passes over what is refused for one of many inputs, where the next one is read all the same.
  static func refusing(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error as TesseraError where !error.isMachineFault {
      return
    }
  }
}
