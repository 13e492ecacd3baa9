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
      let input = ImageInput(key: "a", source: "a.png", location: .path("/nowhere/a.png"))
      let captions = try CaptionSource(manifest: path).captions(of: [input])
      _ = try captions.caption(of: input, at: 0)
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
