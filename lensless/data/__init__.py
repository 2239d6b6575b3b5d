"""Samples for training and evaluation, and where they come from.

    dataset = load_dataset("diffusercam_mirflickr", "train", cache="cache", augment=Augment(seed=1, snr_db=(10, 40)))
    sampler = MaskBatchSampler(dataset.labels, batch_size=4, seed=1, mixed=True)
    for batch in Loader(dataset, sampler=sampler, workers=2):
        x = model(batch.measurement, LenslessConvolution(batch.psf), background=batch.background)
        loss = criterion(batch.aligned(x), batch.scene)

What these are lies in the modules `sample` (Sample, Batch, collate), `dataset` (load_dataset, PairedDataset),
`on_the_fly` (OnTheFlySimulation), `augment` (Augment) and `samplers` (MaskBatchSampler, Loader). Behind `load_dataset`
are cards (`card`, `splits`) and sources (`source` and the modules named after it); `simulation`, `scenes` and `folder`
make simulated data sets; `check`, `pairing`, `pack` and `push` look after data sets for others.
"""
